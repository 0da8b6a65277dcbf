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
from .rows import Asked

SIGNATURE = "serving_default"
METHODS = ("predict", "classify", "regress")

Call = Callable[[Model, Timing], bytes]
Tensors = tuple[np.ndarray, ...]


def prepare(verb: str, document: dict[str, Any], settings: Settings) -> Call:
    """What can be looked at without a model is; the rest is the call that it returns. verb: one of METHODS.

    Both raise RequestError 400; the call also what the store's models raise where they are overloaded.
    """
    _signature(document)
    found = examples.features(document, settings.max_instances) if verb != "predict" else []

    def call(model: Model, timing: Timing) -> bytes:
        if verb == "predict":
            in_rows, outputs = predict(document, model, settings, timing)
            return render.predictions(model, outputs, rows=in_rows)
        _check_signature(document, verb)
        render_results = results(verb, model)
        asked = examples.to_inputs(found, model, settings)
        return render_results(_outputs(model, asked, timing)[0])

    return call


def predict(document: dict[str, Any], model: Model, settings: Settings, timing: Timing) -> tuple[bool, Tensors]:
    """(whether it came in rows, the outputs), for whoever writes them in another form. Raises as the call does."""
    asked = read(document, model, settings)
    return asked.rows, _outputs(model, asked, timing)


def read(document: dict[str, Any], model: Model, settings: Settings) -> Asked:
    """A predict request. Raises RequestError 400."""
    _check_signature(document, "predict")
    return rows.read(document, model, settings)


def tensors(asked: Asked, model: Model, timing: Timing) -> Tensors:
    """What the model takes, in the bundle's order. Raises the PictureError of a picture that cannot be used."""
    return (decode(model, asked.pictures, timing),) if asked.pictures else asked.inputs


def _signature(document: dict[str, Any]) -> str:
    """Its name. Raises RequestError 400 where that is no text."""
    name = document.get("signature_name", SIGNATURE)
    if not isinstance(name, str):
        raise bad(
            f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value.",
            "bad_signature",
        )
    return name


def _check_signature(document: dict[str, Any], verb: str) -> None:
    """A bundle has the default one, which is also found by the name of its method. Raises RequestError 400."""
    name = _signature(document)
    if name not in ("", SIGNATURE, f"tensorflow/serving/{verb}"):
        raise bad(f'Serving signature name: "{name[:100]}" not found in signature def', "bad_signature")


def results(verb: str, model: Model) -> Callable[[np.ndarray], bytes]:
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


def _outputs(model: Model, asked: Asked, timing: Timing) -> Tensors:
    """Decode where there are pictures, infer."""
    try:
        inputs = tensors(asked, model, timing)
    except PictureError as fault:
        raise bad(fault.message, fault.code) from fault
    return infer(model, inputs, timing)
