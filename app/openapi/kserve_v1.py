"""The document's part of KServe's V1 protocol, beside TensorFlow Serving's where both are on."""

from __future__ import annotations

from collections.abc import Sequence

from model.store import Model

from ..settings import Settings
from .parts import Schema, array, fields, get, id_parameter
from .v1 import name_parameter, predict, refused

_TEXT: Schema = {"type": "string"}


def paths(models: Sequence[Model], settings: Settings) -> Schema:
    """What it answers under /v1/. models: those that can answer."""
    found: Schema = {
        "/v1/models": {
            "get": get("kserve_v1_models", "Which models are here? (KServe V1)", fields(models=array(_TEXT)))
        }
    }
    if settings.v1_form() == "kserve":
        common = [name_parameter(models), id_parameter()]
        ready = fields(name=_TEXT, ready={"const": True})
        model = get("kserve_v1_model", "Is this model ready? (KServe V1)", ready, refused("404", "503"))
        found["/v1/models/{name}"] = {"get": {**model, "parameters": common}}
        found["/v1/models/{name}:predict"] = {"post": predict("kserve_v1_predict", common, models, settings)}
    return found
