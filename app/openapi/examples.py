"""Bodies that the default model takes: what a page made of the document sends as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from model.store import Model

from ..errors import RequestError
from ..payloads.open_inference.datatypes import BYTES, HALF, named
from ..payloads.tensors import example_of
from ..payloads.tf.calls import results
from .parts import Schema

_MOST_VALUES = 1000  # of an input; a longer instance has no place in a document
_PICTURE = (  # 8 x 8 pixels, the least that is taken; PNG
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mPcmmjDgA0wMeAAg1MCAAz8AWK/pkYcAAAAAElFTkSuQmCC"
)


def with_example(media: Schema, example: Any) -> Schema:
    """A media type with its example; as it is where that is None."""
    return media if example is None else {**media, "example": example}


def instances(models: Sequence[Model]) -> Any:
    """{"instances": [...]} for the first of the models; None where there is none, or it takes very much."""
    one = _instance(models)
    return None if one is None else {"instances": [one]}


def lines(models: Sequence[Model]) -> str | None:
    """An instance a line."""
    one = _instance(models)
    if one is None:
        return None
    # Two, as a list of lists alone would be taken for several; but only what is in brackets is told apart by lines.
    return _json(one) + (f"\n{_json(one)}" if isinstance(one, list | dict) else "")


def cells(models: Sequence[Model]) -> str | None:
    """The line of a CSV, for a model of one list or value. Booleans have no form in a cell."""
    one = _instance(models)
    if one is None or models[0].bundle.inputs[0].dtype == "bool":
        return None
    return _json(one)[1:-1] if isinstance(one, list) else _json(one)


def examples(models: Sequence[Model], verb: str) -> Any:
    """{"examples": [...]} for classify or regress; None, too, where the first model does not do that."""
    if not (inputs := _inputs(models)) or not _does(verb, models[0]):
        return None
    if models[0].bundle.preprocessing is not None:
        return {"examples": [{name: {"b64": value} for name, value in inputs.items()}]}
    # A feature is a flat list, which cannot tell several sizes that vary.
    if any(tensor.shape[1:].count(None) > 1 for tensor in models[0].bundle.inputs):
        return None
    return {"examples": [{name: values.reshape(-1).tolist() for name, values in inputs.items()}]}


def infer(models: Sequence[Model]) -> Any:
    """The inputs of the Open Inference Protocol; None, too, where an input has no form in JSON."""
    inputs = _inputs(models)
    if not inputs or any(named(tensor.dtype) == HALF for tensor in models[0].bundle.inputs):
        return None
    if models[0].bundle.preprocessing is not None:
        [(name, picture)] = inputs.items()
        return {"inputs": [{"name": name, "shape": [1], "datatype": BYTES, "data": [picture]}]}
    return {
        "inputs": [
            {
                "name": tensor.name,
                "shape": [1, *inputs[tensor.name].shape],
                "datatype": named(tensor.dtype),
                "data": inputs[tensor.name].reshape(-1).tolist(),
            }
            for tensor in models[0].bundle.inputs
        ]
    }


def _instance(models: Sequence[Model]) -> Any:
    """One for the first model; None where there is none."""
    inputs = _inputs(models)
    if not inputs:
        return None
    if models[0].bundle.preprocessing is not None:
        return {"b64": _PICTURE}
    values = {name: array.tolist() for name, array in inputs.items()}
    return next(iter(values.values())) if len(values) == 1 else values


def _inputs(models: Sequence[Model]) -> dict[str, Any]:
    """What each input of the first model takes, by name: an array of objects, or a picture in base64.

    Empty where there is no model, or it takes very much.
    """
    if not models:
        return {}
    inputs = models[0].bundle.inputs
    if models[0].bundle.preprocessing is not None:
        return {inputs[0].name: _PICTURE}
    arrays = {tensor.name: example_of(tensor.dtype, tensor.shape[1:]) for tensor in inputs}
    return arrays if all(array.size <= _MOST_VALUES for array in arrays.values()) else {}


def _does(verb: str, model: Model) -> bool:
    try:
        results(verb, model)
    except RequestError:
        return False
    return True


def _json(one: Any) -> str:
    return orjson.dumps(one).decode()
