"""The document's /v2: the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Sequence

from model.store import Model

from ..payloads.open_inference.datatypes import DATATYPES
from ..payloads.open_inference.request import HEADER
from ..settings import Settings
from .examples import infer, with_example
from .parts import JSON, Schema, array, fields, get, id_parameter, ok, plain_error

_TEXT: Schema = {"type": "string"}
_YES: Schema = {"const": True}
_BYTES = "application/octet-stream"
_SHAPE: Schema = array({"type": "integer", "minimum": -1})
_DATATYPE: Schema = {"type": "string", "enum": sorted(DATATYPES)}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_DURATION: Schema = fields(count=_COUNT, ns=_COUNT)
_PARAMETERS: Schema = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_LENGTH: Schema = {
    "schema": {"type": "integer", "minimum": 0},
    "description": "bytes of JSON at the start of the body, before compression; binary data follows",
}


def paths(models: Sequence[Model], settings: Settings) -> dict[str, Schema]:
    """Every path of the protocol. models: those that can answer; none while they are not ready."""
    found = {
        "/v2": {"get": get("v2_server", "What speaks here?", _server())},
        "/v2/health/live": {"get": get("v2_live", "Does this worker answer at all?", _health({"type": "boolean"}))},
        "/v2/health/ready": {
            "get": get("v2_ready", "Can it answer?", _health(_YES), {"503": plain_error("Not ready")})
        },
        "/v2/models": {"get": get("v2_models", "Which models are here?", fields(models=array(_TEXT)))},
        "/v2/models/stats": {"get": get("v2_stats", "What did all models do?", _statistics())},
        "/v2/repository/index": {"post": _index(settings)},
    }
    for call in ("load", "unload"):
        found[f"/v2/repository/models/{{name}}/{call}"] = {"post": _control(call, models, settings)}
    for suffix, version in (("", False), ("/versions/{version}", True)):
        found |= _of_model(suffix, models, settings, version=version)
    return found


def _of_model(suffix: str, models: Sequence[Model], settings: Settings, *, version: bool) -> dict[str, Schema]:
    """The paths of a model, or of one of its versions."""
    path, name = f"/v2/models/{{name}}{suffix}", "v2_version_" if version else "v2_model_"
    missing = {"404": plain_error("No such model or version")}
    unready = missing | {"503": plain_error("It is not ready")}
    found = {
        path: {"get": get(f"{name}metadata", "What does this model take and answer?", _metadata(), unready)},
        f"{path}/ready": {
            "get": get(f"{name}ready", "Can this model answer?", fields(name=_TEXT, ready=_YES), unready)
        },
        f"{path}/stats": {"get": get(f"{name}stats", "What did this model do?", _statistics(), unready)},
        f"{path}/infer": {"post": _infer(f"{name}infer", models, settings)},
    }
    for each, operations in found.items():
        for operation in operations.values():
            # Of /infer without an example: whatever a schema says of a body, a model that there is takes less.
            known = [] if each.endswith("/infer") else models
            operation["parameters"] = [
                *_names(known, version=version),
                *operation.get("parameters", ()),
                id_parameter(),
            ]
    return found


def _names(models: Sequence[Model], *, version: bool = False) -> list[Schema]:
    name: Schema = {"name": "name", "in": "path", "required": True, "schema": {**_TEXT, "minLength": 1}}
    number: Schema = {"name": "version", "in": "path", "required": True, "schema": {**_TEXT, "pattern": "^[0-9]+$"}}
    if models:
        name["example"], number["example"] = models[0].bundle.name, models[0].bundle.version
    return [name, number] if version else [name]


def _server() -> Schema:
    return fields(name=_TEXT, version=_TEXT, extensions=array(_TEXT))


def _health(ready: Schema) -> Schema:
    return fields(live=_YES, ready=ready)


def _metadata() -> Schema:
    tensor = fields(name=_TEXT, datatype=_DATATYPE, shape=_SHAPE)
    pictures = {**_PARAMETERS, "description": "pictures: the datatype in which it takes encoded pictures, too"}
    tensor["properties"]["parameters"] = pictures
    return fields(
        name=_TEXT, versions=array(_TEXT, 1), platform=_TEXT, inputs=array(tensor, 1), outputs=array(tensor, 1)
    )


def _infer(name: str, models: Sequence[Model], settings: Settings) -> Schema:
    tensor = fields(name=_TEXT, shape=array({"type": "integer", "minimum": 0}), datatype=_DATATYPE)
    tensor["properties"] |= {"parameters": _PARAMETERS, "data": {"type": "array"}}
    wanted = fields(name=_TEXT)
    wanted["properties"]["parameters"] = _PARAMETERS
    asked = fields(inputs=array(tensor, 1))
    asked["properties"] |= {"id": _TEXT, "parameters": _PARAMETERS, "outputs": array(wanted)}
    binary: Schema = {"type": "string", "format": "binary"}
    answered = ok(JSON, _answer(), "The outputs; with binary data behind the JSON where it was asked for")
    answered["headers"] = {**answered["headers"], HEADER: _LENGTH}
    answered["content"][_BYTES] = {"schema": binary}
    return {
        "operationId": name,
        "summary": "Ask a model, with JSON, binary tensors, or the bytes of one input alone",
        "description": "What a model takes is in its metadata. A model of pictures takes encoded ones as BYTES; with "
        f"{HEADER}: 0 the body is one picture. Content-Encoding: gzip and deflate are taken.",
        "parameters": [{"name": HEADER, "in": "header", **_LENGTH}],
        "requestBody": {
            "required": True,
            "content": {JSON: with_example({"schema": asked}, infer(models)), _BYTES: {"schema": binary}},
        },
        "responses": {
            "200": answered,
            "400": plain_error("The request, a tensor or a picture is wrong, or the engine failed on these values"),
            "404": plain_error("No such model or version"),
            "408": plain_error("The body came too slowly"),
            "413": plain_error(f"The body is, or unpacks to, over {settings.max_body_bytes} bytes"),
            "501": plain_error("A Content-Encoding that is not taken"),
            "503": plain_error("The model is not ready"),
        },
    }


def _answer() -> Schema:
    output = fields(name=_TEXT, datatype=_DATATYPE, shape=_SHAPE, data={"type": "array"})
    whole = fields(model_name=_TEXT, model_version=_TEXT, outputs=array(output, 1))
    whole["properties"]["id"] = _TEXT
    return whole


def _statistics() -> Schema:
    steps = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
    one = fields(
        name=_TEXT,
        version=_TEXT,
        last_inference=_COUNT,
        inference_count=_COUNT,
        execution_count=_COUNT,
        inference_stats=fields(**dict.fromkeys(steps, _DURATION)),
    )
    return fields(model_stats=array(one))


def _index(settings: Settings) -> Schema:
    entry = fields(
        name=_TEXT, state={"enum": ["READY", "UNAVAILABLE", "LOADING", "UNLOADING", "UNKNOWN"]}, reason=_TEXT
    )
    entry["properties"]["version"] = _TEXT
    body: Schema = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
    return {
        "operationId": "v2_index",
        "summary": "Every version of every model, with its state",
        "parameters": [id_parameter()],
        "requestBody": {"content": {JSON: with_example({"schema": body}, {"ready": True})}},
        "responses": {"200": ok(JSON, array(entry), "OK"), **_bad_body(settings)},
    }


def _control(call: str, models: Sequence[Model], settings: Settings) -> Schema:
    body: Schema = {"type": "object"}
    if call == "load":
        body["properties"] = {"parameters": {"type": "object", "maxProperties": 0}}
    return {
        "operationId": f"v2_{call}",
        "summary": f"{call.capitalize()} a model, where KILN_REPOSITORY_CONTROL is on",
        "parameters": [*_names(() if settings.repository_control else models), id_parameter()],
        "requestBody": {"content": {JSON: {"schema": body}}},
        "responses": {
            "200": ok(JSON, fields(name=_TEXT, **{call: _YES}), "Declared; workers follow within seconds"),
            "403": plain_error("It is off, or the service may not write its store"),
            "404": plain_error("No such model"),
            **_bad_body(settings),
        },
    }


def _bad_body(settings: Settings) -> Schema:
    return {
        "400": plain_error("The body is wrong"),
        "408": plain_error("The body came too slowly"),
        "413": plain_error(f"The body is, or unpacks to, over {settings.max_body_bytes} bytes"),
        "501": plain_error("A Content-Encoding that is not taken"),
    }
