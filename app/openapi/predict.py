"""The document's /predict."""

from __future__ import annotations

from collections.abc import Sequence

from model.store import Model

from ..admission import DEADLINE_HEADER
from ..predictions import DEFAULT_TOP
from ..selection import CLIENT_HEADER
from ..settings import Settings
from . import examples
from .examples import with_example
from .parts import JSON, Schema, any_of, array, error, fields, id_parameter, ok
from .tensors import instance, prediction


def predict(models: Sequence[Model], settings: Settings) -> Schema:
    """POST /predict. models: those that can answer, the default one first; none while they are not ready."""
    return {
        "operationId": "predict",
        "summary": "Ask a model about one or more pictures, or instances of its tensors",
        "description": "What a model takes and answers is at /models/{name}. Content-Encoding: gzip and deflate are "
        "taken.",
        "parameters": [*choice(models), *top(models), id_parameter(), _client(), _deadline()],
        "requestBody": {"required": True, "content": _content(models, settings)},
        "responses": {
            "200": ok(JSON, answer(models), "One prediction for each instance, in order"),
            "400": error(
                "Nothing sent, or the request, a picture or a tensor is wrong, or the engine failed on these values"
            ),
            "404": error("No such model, version or label; the message lists what there is"),
            "408": error("The body came too slowly"),
            "413": error(
                f"The body is, or unpacks to, over {settings.max_body_bytes} bytes, or a picture has too many pixels"
            ),
            "415": error("A media type, content encoding or picture format that is not taken"),
            "503": error("The model is not ready, or work could not begin in time"),
        },
    }


def choice(models: Sequence[Model]) -> list[Schema]:
    """The parameters that say which model, version or label."""
    name: Schema = {"type": "string", "minLength": 1}
    if models:
        name = {"type": "string", "enum": [model.bundle.name for model in models], "default": models[0].bundle.name}
    number = {"type": "string", "pattern": "^[0-9]+$"}
    label = {"type": "string", "minLength": 1}
    either = "; not together with the other of version and label"
    return [
        {"name": "model", "in": "query", "schema": name, "description": "which model to ask"},
        {"name": "version", "in": "query", "schema": number, "description": f"which of its versions{either}"},
        {"name": "label", "in": "query", "schema": label, "description": f"the version that has this label{either}"},
    ]


def top(models: Sequence[Model]) -> list[Schema]:
    """The parameter that limits the labels, where a model has any."""
    counts = [len(model.bundle.labels) for model in models if model.bundle.labels]
    if models and not counts:
        return []
    schema: Schema = {"type": "integer", "minimum": 1}
    if counts:
        schema |= {"maximum": max(counts), "default": min(DEFAULT_TOP, max(counts))}
    meaning = "how many labels to answer for each instance, where the model has labels"
    return [{"name": "top", "in": "query", "schema": schema, "description": meaning}]


def _client() -> Schema:
    return {
        "name": CLIENT_HEADER,
        "in": "header",
        "schema": {"type": "string"},
        "description": "who asks: where two versions share the requests, one client gets the same one each time; "
        "without it the client's address counts",
    }


def _deadline() -> Schema:
    return {
        "name": DEADLINE_HEADER,
        "in": "header",
        "schema": {"type": "string"},
        "description": "milliseconds in which work on the request must begin, else 503; a whole number, which shortens "
        "the service's own deadline, and anything else counts for nothing",
    }


def _content(models: Sequence[Model], settings: Settings) -> Schema:
    pictures = [model for model in models if model.bundle.preprocessing is not None]
    most = settings.max_images if pictures and len(pictures) == len(models) else settings.max_instances
    instances = array(any_of([instance(model) for model in models]), 1) | {"maxItems": most}
    content: Schema = {JSON: with_example({"schema": fields(instances=instances)}, examples.instances(models))}
    return content if models and not pictures else _raw(settings) | content


def _raw(settings: Settings) -> Schema:
    """The ways to send pictures beside JSON."""
    picture = {"type": "string", "contentMediaType": "application/octet-stream"}
    either = {"oneOf": [picture, array(picture, 1) | {"maxItems": settings.max_images}]}
    raw = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
    return {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"image": either, "file": either},
                "anyOf": [{"required": ["image"]}, {"required": ["file"]}],
            }
        },
        **{f"image/{kind}": raw for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff")},
        "application/octet-stream": raw,
    }


def answer(models: Sequence[Model]) -> Schema:
    """The body of a 200."""
    text: Schema = {"type": "string"}
    return fields(
        model=fields(name=text, version=text),
        predictions=array(any_of([prediction(model) for model in models]), 1),
        request_id=text,
    )
