"""A model's declared inputs and outputs -> JSON Schemas of an instance and a prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.store import Model

from .parts import Schema, any_of, array, fields


def instance(model: Model) -> Schema:
    """One item of "instances": the value of the one input, or an object with that of each."""
    if model.bundle.preprocessing is not None:
        return _PICTURE
    inputs = {tensor.name: nested(value(tensor.dtype), tensor.shape[1:]) for tensor in model.bundle.inputs}
    by_name = fields(**inputs) | {"additionalProperties": False}
    return any_of([next(iter(inputs.values())), by_name]) if len(inputs) == 1 else by_name


def prediction(model: Model) -> Schema:
    """One item of "predictions"."""
    if not model.bundle.labels:
        return outputs(model)
    others = dict(list(_outputs(model).items())[1:])
    return labelled(model, {"outputs": fields(**others)} if others else {})


def outputs(model: Model, *, columns: bool = False) -> Schema:
    """A model's own outputs for one instance, or as columns for all of them."""
    found = {name: array(schema) if columns else schema for name, schema in _outputs(model).items()}
    return next(iter(found.values())) if len(found) == 1 else fields(**found)


def _outputs(model: Model) -> dict[str, Schema]:
    return {
        tensor.name: nested(answered(tensor.dtype), tensor.shape[1:], fixed=False) for tensor in model.bundle.outputs
    }


def labelled(model: Model, others: dict[str, Schema]) -> Schema:
    """The best label and the ranking; null and empty where the scores are no numbers. Those of a model that are taken
    as they are may be any numbers."""
    label: Schema = {"type": "string", "enum": list(model.bundle.labels)}
    limits: Schema = {} if model.bundle.scores == "as_is" else {"minimum": 0, "maximum": 1}
    score: Schema = {"type": "number", **limits}
    none: Schema = {"type": "null"}
    return fields(
        label=any_of([label, none]),
        score=any_of([score, none]),
        top=array(fields(label=label, score=score)),
        **others,
    )


def nested(values: Schema, shape: Sequence[int | None], *, fixed: bool = True) -> Schema:
    """Lists in lists, by their lengths; None takes any but zero. fixed: say how long they are."""
    for size in reversed(shape):
        values = array(values, size or 1) | ({"maxItems": size} if size else {}) if fixed else array(values)
    return values


def value(dtype: str) -> Schema:
    """A value of an input. JSON has no NaN, and its 1.0 is an integer."""
    if dtype == "string":
        return {"type": "string"}
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return {"type": "boolean"}
    if kind.kind == "f":
        limits = np.finfo(kind)
        return {"type": "number", "minimum": float(limits.min), "maximum": float(limits.max)}
    whole = np.iinfo(kind)
    return {"type": "integer", "minimum": int(whole.min), "maximum": int(whole.max)}


def answered(dtype: str) -> Schema:
    """A value of an output: null where it is NaN or infinite."""
    if dtype == "string":
        return {"type": "string"}
    kind = np.dtype(dtype).kind
    return {"type": "boolean"} if kind == "b" else {"type": ["number", "null"]} if kind == "f" else {"type": "integer"}


_PICTURE: Schema = {
    "type": "object",
    "required": ["b64"],
    "properties": {
        "b64": {
            "type": "string",
            "minLength": 1,
            "contentEncoding": "base64",
            "description": "standard or URL-safe base64 of a picture file, or a base64 data: URL",
        }
    },
}
