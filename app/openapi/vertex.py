"""The document's paths of Vertex AI, which its settings name."""

from __future__ import annotations

from collections.abc import Sequence

from model.store import Model

from ..settings import Settings
from .examples import instances, with_example
from .parts import JSON, Schema, get, id_parameter, ok, plain_error
from .scoring import predictions
from .v1 import rows


def paths(models: Sequence[Model], settings: Settings) -> Schema:
    """Health and predictions, where there are such routes."""
    found: Schema = {}
    if settings.vertex_health:
        health = get(
            "vertex_health", "Vertex AI: can it answer?", {"type": "object"}, {"503": plain_error("It cannot")}
        )
        found[settings.vertex_health] = {"get": health}
    if settings.vertex_predict:
        found.setdefault(settings.vertex_predict, {})["post"] = _predict(models[:1], settings)
    return found


def _predict(models: Sequence[Model], settings: Settings) -> Schema:
    body = rows(models, settings)
    body["properties"]["parameters"] = {"description": "of the platform's form; no model of ours has any"}
    return {
        "operationId": "vertex_predict",
        "summary": "Vertex AI: predictions for instances",
        "parameters": [id_parameter()],
        "requestBody": {"required": True, "content": {JSON: with_example({"schema": body}, instances(models))}},
        "responses": {
            "200": ok(JSON, predictions(models), "One prediction for each instance, in order"),
            "400": plain_error("The request, a picture or a tensor is wrong"),
            "408": plain_error("The body came too slowly"),
            "413": plain_error("The body or a picture is too large"),
            "415": plain_error("A picture format or content encoding that is not taken"),
            "503": plain_error("The model is not ready"),
        },
    }
