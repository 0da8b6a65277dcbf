"""Inputs of a model -> the body of the answer: run it, time it, render its outputs."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from model.errors import ModelError
from model.store import Model

from .errors import RequestError
from .ranking import best_first
from .telemetry import metrics
from .telemetry.timing import Timing

DEFAULT_TOP = 5
_MOST_TOLD = 1000  # characters of an engine's words in the log


def decode(model: Model, pictures: Sequence[bytes], timing: Timing) -> np.ndarray:
    """Pictures -> the model's one input. Raises the PictureError of one that cannot be used."""
    started = time.perf_counter()
    batch = model.prepare(pictures)
    timing.did("decode", started)
    timing.images = len(pictures)
    return batch


def infer(model: Model, inputs: Sequence[np.ndarray], timing: Timing) -> tuple[np.ndarray, ...]:
    """Inputs, in the bundle's order and with the instances along their first axis -> outputs, in theirs; timed.

    Raises RequestError 400 where the engine fails on values that the client sent: those of the right form may still be
    such as it cannot take, like an index that an embedding does not have. On pictures, which we made into values
    ourselves, its fault is ours, and goes on up.
    """
    bundle = model.bundle
    timing.instances = len(inputs[0])
    started = time.perf_counter()
    try:
        outputs = model.infer(*inputs)
    except (ModelError, MemoryError):
        raise
    except Exception as fault:
        if timing.images:
            raise
        raise RequestError(
            400,
            "inference_failed",
            "The engine failed on these values. Check that every one is such as the model knows, as the indices of an "
            "embedding must be; if so, tell the operator: the log has it under the request id.",
            told=f"model {bundle.name} version {bundle.version}: the engine failed: {fault}"[:_MOST_TOLD],
        ) from fault
    timing.did("infer", started)
    if not model.gathers:  # else the batch is not this request alone, and the store tells of it
        metrics.batch(bundle.name, bundle.version, model.engine_name, timing.instances)
    return outputs


def answer(model: Model, inputs: Sequence[np.ndarray], top: int, timing: Timing) -> bytes:
    """Infer, render: the JSON body of a 200, a prediction for each instance.

    With labels a prediction is the best of them, its score, the `top` best ones, and what other outputs there are;
    without, the value of the one output or an object with that of each. NaN and Infinity are null, which is all that
    JSON has for them; scores that rank nothing have no label.
    """
    bundle = model.bundle
    outputs = infer(model, inputs, timing)
    names = [tensor.name for tensor in bundle.outputs]
    if bundle.labels:
        with np.errstate(over="ignore", invalid="ignore"):
            scores = bundle.to_scores(outputs[0])
        orders = best_first(scores, top).tolist()
        predictions = [_ranked(row, order, bundle.labels) for row, order in zip(scores, orders, strict=True)]
        if len(outputs) > 1:
            for prediction, others in zip(predictions, _objects(names[1:], outputs[1:]), strict=True):
                prediction["outputs"] = others
    else:
        predictions = _rows(outputs[0]) if len(outputs) == 1 else _objects(names, outputs)
    body = {
        "model": {"name": bundle.name, "version": bundle.version},
        "predictions": predictions,
        "request_id": timing.request_id,
    }
    return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)


def _ranked(row: np.ndarray, order: list[int], labels: tuple[str, ...]) -> dict[str, Any]:
    ranked = [{"label": labels[index], "score": float(row[index])} for index in order]
    if not math.isfinite(row[order[0]]):
        return {"label": None, "score": None, "top": []}
    return {**ranked[0], "top": ranked}


def _objects(names: Sequence[str], outputs: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """An object by name of output for each instance."""
    return [dict(zip(names, row, strict=True)) for row in zip(*map(_rows, outputs), strict=True)]


def _rows(values: np.ndarray) -> list[Any]:
    """What orjson writes for each instance: arrays, written as lists with the fewest digits that say the number."""
    if values.dtype.kind in "OSU":
        return list(np.frompyfunc(_text, 1, 1)(values).tolist())
    return list(np.ascontiguousarray(values))


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
