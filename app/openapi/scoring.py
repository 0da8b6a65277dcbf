"""What platforms' parts have in common: bodies of instances or a picture, answers in TensorFlow Serving's form."""

from __future__ import annotations

from collections.abc import Sequence

from model.store import Model

from ..settings import Settings
from .parts import JSON, Schema, any_of, array, error, fields, id_parameter, ok
from .predict import answer, choice
from .tensors import instance_forms, outputs

BYTES: Schema = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
NOTHING: Schema = {"not": {}}  # TensorFlow Serving takes one of the two forms
ERROR: Schema = fields(error={"type": "string", "description": "what is wrong"})


def rows(models: Sequence[Model], settings: Settings) -> Schema:
    """{"instances": [...]}: one at least, all of one form, in TensorFlow Serving's row form."""
    forms = [_several(form, models, settings) for model in models for form in instance_forms(model)]
    return fields(instances=any_of(forms) or {"type": "array"}, inputs=NOTHING) | {"required": ["instances"]}


def columns(models: Sequence[Model], settings: Settings) -> list[Schema]:
    """{"inputs": [...]}, where there is a model with one input; of several the columns must be of one length."""
    forms = [instance_forms(model)[0] for model in models if len(model.bundle.inputs) == 1]
    several = any_of([_several(form, models, settings) for form in forms])
    return [fields(inputs=several, instances=NOTHING) | {"required": ["inputs"]}] if several else []


def _several(form: Schema, models: Sequence[Model], settings: Settings) -> Schema:
    pictures = any(model.bundle.preprocessing is not None for model in models)
    return array(form, 1) | {"maxItems": settings.max_images if pictures else settings.max_instances}


def predictions(models: Sequence[Model]) -> Schema:
    """{"predictions": [...]}, the models' own outputs."""
    return fields(predictions=array(any_of([outputs(model) for model in models]), 1))


def plain_error(meaning: str) -> Schema:
    """An error in TensorFlow Serving's form."""
    return ok(JSON, ERROR, meaning)


def scored(name: str, summary: str, models: Sequence[Model], settings: Settings, overload: str = "503") -> Schema:
    """A POST that takes instances or a picture, and answers as /predict does. overload: the status where many wait."""
    unready = error("The model is not ready")
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [*choice(models), id_parameter()],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": rows(models, settings)}, "application/octet-stream": BYTES},
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
