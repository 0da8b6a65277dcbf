"""What the document's parts of TensorFlow Serving and KServe V1 have in common: predict, and the form of an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.store import Model

from ..settings import Settings
from .examples import instances, with_example
from .parts import JSON, Schema, any_of, array, fields, ok, plain_error
from .tensors import nested, outputs, value

_MEANING = {
    "400": "The path, the body or a value is wrong, or no version has this label",
    "404": "There is no such model or version, or none that can answer",
    "408": "The body came too slowly",
    "413": "The body is too large",
    "503": "The model is not ready, or too many requests wait for it",
}
PICTURE: Schema = fields(b64={"type": "string", "contentEncoding": "base64", "description": "a picture file"}) | {
    "additionalProperties": False
}


def name_parameter(models: Sequence[Model]) -> Schema:
    """Of a path. models: those that can answer."""
    schema: Schema = {"type": "string", "pattern": "^[A-Za-z0-9._-]+$"}
    if models:
        schema = {"type": "string", "enum": [model.bundle.name for model in models]}
    return {"name": "name", "in": "path", "required": True, "schema": schema}


def written(schema: Schema, meaning: str) -> Schema:
    """An answer in JSON."""
    return ok(JSON, schema, meaning)


def refused(*statuses: str) -> Schema:
    """Errors by status, in the form that both have."""
    return {status: plain_error(_MEANING[status]) for status in statuses}


def answer(**properties: Schema) -> Schema:
    """The responses of a request that asks a model."""
    return {"200": ok(JSON, fields(**properties), "OK"), **refused(*_MEANING)}


def ask(operation: str, summary: str, parameters: list[Schema], media: Schema, responses: Schema) -> Schema:
    """A request that asks a model. media: the body."""
    body = {"required": True, "content": {JSON: media}}
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": parameters,
        "requestBody": body,
        "responses": responses,
    }


def most_of(models: Sequence[Model], settings: Settings) -> int:
    """How many instances one request may have."""
    pictures = [model for model in models if model.bundle.preprocessing is not None]
    return settings.max_images if pictures and len(pictures) == len(models) else settings.max_instances


def predict(operation: str, parameters: list[Schema], models: Sequence[Model], settings: Settings) -> Schema:
    """POST ...:predict, with rows or columns."""
    given = any_of([outputs(model) for model in models])
    body: Schema = {"anyOf": [fields(predictions=array(given, 1)), fields(outputs={})]}
    return ask(
        operation,
        "Ask a model about rows or columns of its inputs (TensorFlow Serving, KServe V1)",
        parameters,
        with_example({"schema": {"anyOf": [rows(models, settings), columns(models, settings)]}}, instances(models)),
        {"200": written(body, "predictions for instances, outputs for inputs"), **refused(*_MEANING)},
    )


def rows(models: Sequence[Model], settings: Settings) -> Schema:
    """{"instances": [...]}, one at least."""
    instances = array(any_of([row(model) for model in models]), 1) | {"maxItems": most_of(models, settings)}
    return _one_of_two(instances=instances, inputs=False)


def columns(models: Sequence[Model], settings: Settings) -> Schema:
    """{"inputs": ...}: a column for each input, or that of the one input."""
    most = most_of(models, settings)
    return _one_of_two(inputs=any_of([_column(model, most) for model in models]), instances=False)


def _one_of_two(**keys: Any) -> Schema:
    """The first of the keys alone."""
    signature = {"signature_name": {"enum": ["serving_default", "tensorflow/serving/predict", ""]}}
    return {"type": "object", "required": [next(iter(keys))], "properties": keys | signature}


def row(model: Model) -> Schema:
    """An item of "instances"."""
    if model.bundle.preprocessing is not None:
        return PICTURE
    inputs = {tensor.name: nested(value(tensor.dtype), tensor.shape[1:]) for tensor in model.bundle.inputs}
    named = fields(**inputs) | {"additionalProperties": False}
    # Values and objects do not mix in a request, which is simpler said by leaving one of them out.
    return next(iter(inputs.values())) if len(inputs) == 1 else named


def _column(model: Model, most: int) -> Schema:
    if model.bundle.preprocessing is not None:
        return array(PICTURE, 1) | {"maxItems": most}
    items = {tensor.name: nested(value(tensor.dtype), tensor.shape[1:]) for tensor in model.bundle.inputs}
    # Several columns must have one size, which a schema cannot say but of a single instance.
    most = most if len(items) == 1 else 1
    return fields(**{name: array(item, 1) | {"maxItems": most} for name, item in items.items()})
