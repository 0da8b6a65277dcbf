"""The document's part of TensorFlow Serving's REST API: /v1/models/{name}."""

from __future__ import annotations

from collections.abc import Sequence

from model.store import Model

from ..settings import Settings
from .examples import examples, with_example
from .parts import Schema, any_of, array, fields, id_parameter
from .tensors import nested, value
from .v1 import PICTURE, answer, ask, most_of, name_parameter, predict, refused, written

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "string", "description": "an integer of 64 bits, as text"}
_VERSION: Schema = {
    "name": "version",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
}
_LABEL: Schema = {
    "name": "label",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.-]+$"},
}
_ANY_LABEL: Schema = _LABEL | {"schema": {"type": "string", "minLength": 1}, "description": "counts for nothing here"}
_WHICH: dict[str, tuple[str, list[Schema]]] = {
    "": ("", []),
    "/versions/{version}": ("_version", [_VERSION]),
    "/labels/{label}": ("_label", [_LABEL]),
}

_PAIR = array({"type": ["string", "number"], "description": "a label, then its score"}, 2) | {"maxItems": 2}
_RESULTS: dict[str, Schema] = {"classify": array(_PAIR), "regress": {"type": "number"}}


def paths(models: Sequence[Model], settings: Settings) -> Schema:
    """What it answers under /v1/. models: those that can answer."""
    found: Schema = {}
    for which, (suffix, parameters) in _WHICH.items():
        path, common = f"/v1/models/{{name}}{which}", [name_parameter(models), *parameters, id_parameter()]
        any_label = [_ANY_LABEL if parameter is _LABEL else parameter for parameter in common]
        found[path] = {"get": _status(f"tf_serving_status{suffix}", any_label, settings)}
        found[f"{path}/metadata"] = {"get": _metadata(f"tf_serving_metadata{suffix}", common)}
        found[f"{path}:predict"] = {"post": predict(f"tf_serving_predict{suffix}", common, models, settings)}
        for verb, result in _RESULTS.items():
            asked = _examples(verb, f"tf_serving_{verb}{suffix}", common, models, settings, result)
            found[f"{path}:{verb}"] = {"post": asked}
    return found


def _status(operation: str, parameters: list[Schema], settings: Settings) -> Schema:
    state = fields(
        version=_NUMBER,
        state={"enum": ["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
        status=fields(error_code=_TEXT, error_message=_TEXT),
    )
    both: Schema = {"name": _TEXT, "ready": {"type": "boolean"}} if settings.v1_form() == "both" else {}
    body = fields(**both, model_version_status={**array(state, 1), "description": "the newest version first"})
    none = {"503": written(body, "No version is AVAILABLE")} if settings.status_codes == "truthful" else {}
    return {
        "operationId": operation,
        "summary": "The state of a model's versions (TensorFlow Serving)",
        "parameters": parameters,
        "responses": {"200": written(body, "Whatever the states are: read them"), **none, **refused("400", "404")},
    }


def _metadata(operation: str, parameters: list[Schema]) -> Schema:
    tensor = fields(
        dtype=_TEXT,
        tensor_shape=fields(dim=array(fields(size=_NUMBER, name=_TEXT)), unknown_rank={"type": "boolean"}),
        name=_TEXT,
    )
    tensors: Schema = {"type": "object", "additionalProperties": tensor}
    signature = fields(inputs=tensors, outputs=tensors, method_name=_TEXT, defaults={"type": "object"})
    signatures = fields(signature_def=fields(signature_def=fields(serving_default=signature)))
    body = fields(model_spec=fields(name=_TEXT, signature_name=_TEXT, version=_NUMBER), metadata=signatures)
    return {
        "operationId": operation,
        "summary": "What a model takes and answers (TensorFlow Serving)",
        "parameters": parameters,
        "responses": {"200": written(body, "OK"), **refused("400", "404", "503")},
    }


def _examples(
    verb: str, operation: str, parameters: list[Schema], models: Sequence[Model], settings: Settings, result: Schema
) -> Schema:
    example = any_of([_example(model) for model in models])
    schema = fields(examples=array(example, 1) | {"maxItems": most_of(models, settings)})
    return ask(
        operation,
        f"{verb.capitalize()} examples (TensorFlow Serving)",
        parameters,
        with_example({"schema": schema}, examples(models, verb)),
        answer(results=array(result, 1)),
    )


def _example(model: Model) -> Schema:
    """The features of one example: for each input a list of its values."""
    if model.bundle.preprocessing is not None:
        return fields(**{model.bundle.inputs[0].name: PICTURE})
    features = {}
    for tensor in model.bundle.inputs:
        size = 1
        for length in tensor.shape[1:]:
            size *= length or 1
        features[tensor.name] = nested(value(tensor.dtype), (size,))
    return fields(**features)
