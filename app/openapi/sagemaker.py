"""The document's /ping and /invocations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.store import Model

from ..paths import INVOCATIONS, PING
from ..settings import Settings
from . import examples
from .examples import with_example
from .parts import JSON, Schema, any_of, fields, id_parameter, ok, plain_error
from .scoring import BYTES, predictions
from .tensors import outputs
from .v1 import columns, row, rows

_TEXT: Schema = {"type": "string"}


def paths(models: Sequence[Model], settings: Settings) -> Schema:
    """Health and predictions."""
    return {
        PING: {
            "get": {
                "operationId": "sagemaker_ping",
                "summary": "SageMaker: can it answer?",
                "responses": {"200": {"description": "It can"}, "503": plain_error("It cannot")},
            }
        },
        INVOCATIONS: {"post": _invocations(models, settings)},
    }


def _invocations(models: Sequence[Model], settings: Settings) -> Schema:
    attributes: Schema = {
        "name": "X-Amzn-SageMaker-Custom-Attributes",
        "in": "header",
        "schema": _TEXT,
        "description": "tfs-model-name=NAME,tfs-model-version=NUMBER says which model; tfs-method=classify and regress "
        'take {"examples": [...]}',
    }
    return {
        "operationId": "sagemaker_invocations",
        "summary": "SageMaker: predictions for instances",
        "parameters": [attributes, id_parameter()],
        "requestBody": {"required": True, "content": _content(models, settings)},
        "responses": {
            "200": {**ok(JSON, _answer(models), "The model's own outputs"), "content": _forms(models)},
            "400": plain_error("The request, a picture or a tensor is wrong"),
            "404": plain_error("No such model or version"),
            "408": plain_error("The body came too slowly"),
            "413": plain_error("The body or a picture is too large"),
            "415": plain_error("A media type, picture format or content encoding that is not taken"),
            "503": plain_error("The model is not ready"),
        },
    }


def _content(models: Sequence[Model], settings: Settings) -> dict[str, Any]:
    bare = [row(model) for model in models if _may_be_bare(model)]
    forms: Schema = {}
    whole = {"schema": {"anyOf": [rows(models, settings), columns(models, settings), *bare]}}
    forms[JSON] = with_example(whole, examples.instances(models))
    by_line = {"schema": {**_TEXT, "description": "an instance a line"}}
    forms["application/jsonlines"] = with_example(by_line, examples.lines(models))
    if any(map(_is_flat, models)):
        forms["text/csv"] = with_example(by_line, examples.cells(models) if _is_flat(models[0]) else None)
    forms["application/x-npy"] = BYTES
    if any(model.bundle.preprocessing is not None for model in models):
        forms |= {f"image/{kind}": BYTES for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff")}
    return forms


def _may_be_bare(model: Model) -> bool:
    """Can the body be an instance alone? A list of lists would be taken for several."""
    return model.bundle.preprocessing is not None or len(model.bundle.inputs) > 1 or _is_flat(model)


def _is_flat(model: Model) -> bool:
    return len(model.bundle.inputs) == 1 and len(model.bundle.inputs[0].shape) <= 2


def _answer(models: Sequence[Model]) -> Schema:
    in_columns = any_of([outputs(model, columns=True) for model in models])
    results = fields(results={"type": "array", "description": "of examples"})
    return {"anyOf": [predictions(models), fields(outputs=in_columns), results]}


def _forms(models: Sequence[Model]) -> Schema:
    answer = {"schema": _answer(models)}
    return {JSON: answer, "application/jsonlines": answer, "application/x-npy": BYTES, "text/csv": {"schema": _TEXT}}
