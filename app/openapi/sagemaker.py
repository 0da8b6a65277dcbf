"""The document's /ping and /invocations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.store import Model

from ..settings import Settings
from .parts import JSON, Schema, any_of, fields, id_parameter, ok
from .scoring import BYTES, instances, plain_error, predictions
from .tensors import instance, outputs

PING, INVOCATIONS = "/ping", "/invocations"
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
        "description": "tfs-model-name=NAME,tfs-model-version=NUMBER says which model",
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
    several = instances(models, settings)
    one = any_of([instance(model) for model in models])
    forms: Schema = {JSON: {"schema": {"anyOf": [fields(instances=several), fields(inputs=several), one]}}}
    forms["application/jsonlines"] = {"schema": {**_TEXT, "description": "an instance a line"}}
    if any(len(model.bundle.inputs) == 1 and len(model.bundle.inputs[0].shape) <= 2 for model in models):
        forms["text/csv"] = {"schema": {**_TEXT, "description": "an instance a line"}}
    forms["application/x-npy"] = BYTES
    if any(model.bundle.preprocessing is not None for model in models):
        forms |= {f"image/{kind}": BYTES for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff")}
    return forms


def _answer(models: Sequence[Model]) -> Schema:
    columns = any_of([outputs(model, columns=True) for model in models])
    return {"anyOf": [predictions(models), fields(outputs=columns)]}


def _forms(models: Sequence[Model]) -> Schema:
    answer = {"schema": _answer(models)}
    return {JSON: answer, "application/jsonlines": answer, "application/x-npy": BYTES, "text/csv": {"schema": _TEXT}}
