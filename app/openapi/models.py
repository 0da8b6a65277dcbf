"""The document's /models and /models/{name}."""

from __future__ import annotations

from .parts import Schema, array, error, fields, get, id_parameter

_TEXT: Schema = {"type": "string"}
_STATE: Schema = {"enum": ["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]}
_ENGINE: Schema = {"type": ["string", "null"], "description": "what runs it; null until it is AVAILABLE"}
_LABELS: Schema = {**array(_TEXT), "description": "that point at it"}


def models() -> Schema:
    """GET /models."""
    version = fields(version=_TEXT, state=_STATE, labels=_LABELS, engine=_ENGINE)
    model = fields(name=_TEXT, default={"type": "boolean"}, versions=array(version))
    return get("models", "Which models are here?", fields(models=array(model)))


def one_model(example: str) -> Schema:
    """GET /models/{name}. example: the name of a model; empty where none can answer."""
    name: Schema = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    if example:
        name["example"] = example
    schema = fields(
        name=_TEXT,
        default={"type": "boolean"},
        labels={"type": "object", "additionalProperties": _TEXT, "description": "label -> version"},
        split={
            "type": "object",
            "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 100},
            "description": "version or label -> percent of the clients that ask for neither; empty without a canary",
        },
        problem={**_TEXT, "description": "why its serving.json is not in force, or not all of it; empty when it is"},
        versions=array(_version()),
    )
    path = get("model", "What does this model take, answer and do?", schema, {"404": error("There is no such model")})
    return {**path, "parameters": [name, id_parameter()]}


def _version() -> Schema:
    version = fields(version=_TEXT, state=_STATE, reason=_TEXT, labels=_LABELS, engine=_ENGINE)
    size = {"type": ["integer", "null"], "description": "null where it varies; the first axis is the batch"}
    tensors = array(fields(name=_TEXT, dtype=_TEXT, shape=array(size)), 1)
    # Once it is AVAILABLE.
    version["properties"] |= {
        "inputs": tensors,
        "outputs": tensors,
        "classes": {**array(_TEXT), "description": "the labels that predictions carry; empty where there are none"},
        "scores": {"enum": ["as_is", "softmax", "sigmoid"]},
        "preprocessing": {
            "type": ["object", "null"],
            "description": "what is done to a picture before the model sees it; null: the model takes tensors",
        },
        "built": {"type": "object", "description": "how and from what the version was made"},
        "candidates": {
            **array({"type": "object"}),
            "description": "the engines that the build tried: difference from Keras, size, speed, and why not chosen",
        },
    }
    return version
