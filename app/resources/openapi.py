"""GET /openapi.json: what the service does, in OpenAPI 3.1, made from the settings and the model in force."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from flask_restful import Resource

from model.errors import ModelError
from model.store import Store

from .. import release
from ..settings import Settings
from ..telemetry.request_id import HEADER
from .predict import DEFAULT_TOP

_JSON = "application/json"


class OpenApi(Resource):
    """GET /openapi.json."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def get(self) -> Response:
        """Answer."""
        try:
            labels = self._store.get(self._settings.model).bundle.labels
        except ModelError:
            labels = ()
        return jsonify(document(labels, self._settings))


def document(labels: tuple[str, ...], settings: Settings) -> dict[str, Any]:
    """The whole document. labels: the model's; empty while it is not ready."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kiln",
            "version": release.VERSION,
            "description": "Post a picture, get its labels with calibrated scores.",
        },
        "servers": [{"url": "./", "description": "where this document was fetched"}],
        "paths": {
            "/predict": {"post": _predict(labels, settings)},
            "/live": {"get": _get("live", "Does this worker answer at all?", _status_schema("live"))},
            "/ready": {
                "get": _get("ready", "Is every model proven and ready?", _ready_schema(), {"503": _error("Not ready")})
            },
            "/version": {"get": _get("version", "What runs here?", _version_schema())},
            "/metrics": {"get": _get_text("metrics", "Counts for Prometheus", "text/plain")},
            "/openapi.json": {"get": _get("openapi", "This document", {"type": "object"})},
            "/": {"get": _get_text("demo", "A page to try the model with", "text/html")},
        },
        "components": {"schemas": {"Error": _error_schema(), "Prediction": _prediction_schema(labels)}},
    }


def _predict(labels: tuple[str, ...], settings: Settings) -> dict[str, Any]:
    picture = {"type": "string", "contentMediaType": "application/octet-stream"}
    either = {"oneOf": [picture, {"type": "array", "items": picture, "minItems": 1, "maxItems": settings.max_images}]}
    instances = {
        "type": "array",
        "minItems": 1,
        "maxItems": settings.max_images,
        "items": {
            "type": "object",
            "required": ["b64"],
            "properties": {
                "b64": {
                    "type": "string",
                    "minLength": 1,
                    "contentEncoding": "base64",
                    "description": "standard or URL-safe base64 of a picture file, or a base64 data: URL",
                }
            },
        },
    }
    raw = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
    top: dict[str, Any] = {"type": "integer", "minimum": 1}
    if labels:
        top |= {"maximum": len(labels), "default": min(DEFAULT_TOP, len(labels))}
    return {
        "operationId": "predict",
        "summary": "Classify one or more pictures",
        "parameters": [
            {"name": "top", "in": "query", "schema": top, "description": "how many labels to answer for each picture"},
            _id_parameter(),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"image": either, "file": either},
                        "anyOf": [{"required": ["image"]}, {"required": ["file"]}],
                    }
                },
                **{f"image/{kind}": raw for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff")},
                "application/octet-stream": raw,
                _JSON: {
                    "schema": {"type": "object", "required": ["instances"], "properties": {"instances": instances}}
                },
            },
        },
        "responses": {
            "200": _ok(
                _JSON,
                {
                    "type": "object",
                    "required": ["model", "predictions", "request_id"],
                    "properties": {
                        "model": {
                            "type": "object",
                            "required": ["name", "version"],
                            "properties": {"name": {"type": "string"}, "version": {"type": "string"}},
                        },
                        "predictions": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"$ref": "#/components/schemas/Prediction"},
                        },
                        "request_id": {"type": "string"},
                    },
                },
                "One prediction for each picture, in order",
            ),
            "400": _error("Nothing sent, or the request or a picture is wrong"),
            "408": _error("The body came too slowly"),
            "413": _error(f"The body is over {settings.max_body_bytes} bytes or a picture has too many pixels"),
            "415": _error("A media type or picture format that is not taken"),
            "503": _error("The model is not ready"),
        },
    }


def _prediction_schema(labels: tuple[str, ...]) -> dict[str, Any]:
    label: dict[str, Any] = {"type": "string"} | ({"enum": list(labels)} if labels else {})
    both = {"label": label, "score": {"type": "number", "minimum": 0, "maximum": 1}}
    pair = {"type": "object", "required": ["label", "score"], "properties": both}
    return {
        "type": "object",
        "required": ["label", "score", "top"],
        "properties": {**both, "top": {"type": "array", "minItems": 1, "items": pair}},
    }


def _error_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["error", "request_id"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": {"type": "string", "description": "stable; match on this"},
                    "message": {"type": "string", "description": "for people: what to do about it"},
                },
            },
            "request_id": {"type": "string"},
        },
    }


def _status_schema(word: str) -> dict[str, Any]:
    return {"type": "object", "required": ["status"], "properties": {"status": {"const": word}}}


def _ready_schema() -> dict[str, Any]:
    schema = _status_schema("ready")
    schema["properties"]["models"] = {"type": "array", "items": {"type": "object"}}
    return schema


def _version_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["kiln", "build", "python", "models"],
        "properties": {
            "kiln": {"type": "string"},
            "build": {
                "type": ["object", "null"],
                "properties": {name: {"type": "string"} for name in ("release", "commit", "time")},
            },
            "python": {"type": "string"},
            "models": {"type": "array", "items": {"type": "object"}},
        },
    }


def _id_parameter() -> dict[str, Any]:
    return {
        "name": HEADER,
        "in": "header",
        "schema": {"type": "string"},
        "description": "taken over where it is sane, else replaced",
    }


def _id_header() -> dict[str, Any]:
    return {HEADER: {"schema": {"type": "string"}, "description": "joins the answer, the logs and the proxy's log"}}


def _ok(kind: str, schema: dict[str, Any], meaning: str) -> dict[str, Any]:
    return {"description": meaning, "headers": _id_header(), "content": {kind: {"schema": schema}}}


def _error(meaning: str) -> dict[str, Any]:
    return _ok(_JSON, {"$ref": "#/components/schemas/Error"}, meaning)


def _get(name: str, summary: str, schema: dict[str, Any], others: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": _ok(_JSON, schema, "OK"), **(others or {})},
    }


def _get_text(name: str, summary: str, kind: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": _ok(kind, {"type": "string"}, "OK")},
    }
