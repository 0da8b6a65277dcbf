"""A document -> the body of the answer: predict, classify, regress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from model.errors import PictureError
from model.store import Model

from ...predictions import decode, infer
from ...settings import Settings
from ...telemetry.timing import Timing
from . import examples, render, rows
from .faults import bad, shown

SIGNATURE = "serving_default"

Call = Callable[[Model, Settings, Timing], bytes]


def prepare(verb: str, document: dict[str, Any]) -> Call:
    """What can be looked at without a model is; the rest is the call that it returns.

    Both raise RequestError 400; the call also what the store's models raise where they are overloaded.
    """
    signature = document.get("signature_name", SIGNATURE)
    if not isinstance(signature, str):
        raise bad(
            f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value.",
            "bad_signature",
        )
    found = examples.features(document) if verb != "predict" else []

    def call(model: Model, settings: Settings, timing: Timing) -> bytes:
        if signature not in ("", SIGNATURE):
            raise bad(f'Serving signature name: "{signature[:100]}" not found in signature def', "bad_signature")
        if verb == "predict":
            asked = rows.read(document, model, settings)
            return render.predictions(model, _outputs(model, asked, timing), rows=asked.rows)
        render_results = _results(verb, model)
        asked = examples.to_inputs(found, model, settings)
        return render_results(_outputs(model, asked, timing)[0])

    return call


def _results(verb: str, model: Model) -> Callable[[np.ndarray], bytes]:
    """How the first output becomes results. Raises RequestError 400 where the model has none of that kind."""
    labels, outputs = model.bundle.labels, model.bundle.outputs
    if verb == "classify" and labels:
        return lambda values: render.classes(labels, _scores(model, values))
    first = outputs[0]
    if verb == "regress" and len(outputs) == 1 and first.dtype.startswith("float") and first.shape[1:] in ((), (1,)):
        return lambda values: render.numbers(values.reshape(-1))
    kind = {"classify": "classification", "regress": "regression"}[verb]
    raise bad(
        f"Expected {kind} signature method_name to be tensorflow/serving/{verb}. Was: tensorflow/serving/predict",
        "bad_signature",
    )


def _scores(model: Model, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return model.bundle.to_scores(values)


def _outputs(model: Model, asked: rows.Asked, timing: Timing) -> tuple[np.ndarray, ...]:
    """Decode where there are pictures, infer."""
    try:
        inputs = (decode(model, asked.pictures, timing),) if asked.pictures else asked.inputs
    except PictureError as fault:
        raise bad(fault.message, fault.code) from fault
    return infer(model, inputs, timing)
