"""What platforms' parts have in common: bodies of instances or a picture, answers in TensorFlow Serving's form."""

from __future__ import annotations

from collections.abc import Sequence

from model.store import Model

from ..settings import Settings
from .examples import instances, with_example
from .parts import JSON, Schema, any_of, array, error, fields, id_parameter, ok
from .predict import answer, choice, top
from .tensors import outputs
from .v1 import columns, rows

BYTES: Schema = {"schema": {"type": "string", "format": "binary", "minLength": 1}}


def either(models: Sequence[Model], settings: Settings) -> Schema:
    """TensorFlow Serving's rows or columns."""
    return {"anyOf": [rows(models, settings), columns(models, settings)]}


def predictions(models: Sequence[Model]) -> Schema:
    """{"predictions": [...]}, the models' own outputs."""
    return fields(predictions=array(any_of([outputs(model) for model in models]), 1))


def scored(name: str, summary: str, models: Sequence[Model], settings: Settings, overload: str = "503") -> Schema:
    """A POST that takes instances or a picture, and answers as /predict does. overload: the status where many wait."""
    unready = error("The model is not ready")
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [*choice(models), *top(models), id_parameter()],
        "requestBody": {
            "required": True,
            "content": {
                JSON: with_example({"schema": either(models, settings)}, instances(models)),
                "application/octet-stream": BYTES,
            },
        },
        "responses": {
            "200": ok(JSON, answer(models), "One prediction for each instance, in order"),
            "400": error("The request, a picture or a tensor is wrong"),
            "404": error("No such model, version or label"),
            "408": error("The body came too slowly"),
            "413": error("The body or a picture is too large"),
            "415": error("A picture format or content encoding that is not taken"),
            **({overload: error("Too many requests wait")} if overload != "503" else {}),
            "503": unready,
        },
    }
