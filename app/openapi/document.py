"""The document as a whole: every path, and the form of an error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module

from model.store import Model

from .. import release
from ..dialects import Dialect, kiln_error
from ..keys.guard import OPEN
from ..settings import Settings
from ..telemetry.timing import KILN
from .models import models as list_models
from .models import one_model
from .parts import Schema, array, error, fields, get, get_text, plain_error
from .predict import predict
from .security import with_keys


def document(models: Sequence[Model], settings: Settings, dialects: Iterable[Dialect]) -> Schema:
    """The whole document. models: those that can answer, the default one first; none while they are not ready."""
    whole: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "Kiln",
            "version": release.VERSION,
            "description": "Serves Keras models: post a picture, get its labels with their scores; or post tensors.",
        },
        "servers": [{"url": "./", "description": "where this document was fetched"}],
        "paths": {
            "/predict": {"post": predict(models, settings)},
            "/models": {"get": list_models()},
            "/models/{name}": {"get": one_model(models[0].bundle.name if models else "")},
            "/live": {"get": get("live", "Does this worker answer at all?", fields(status={"const": "live"}))},
            "/ready": {"get": get("ready", "Can it answer?", _ready(), {"503": error("Not ready")})},
            "/version": {"get": get("version", "What runs here?", _version())},
            "/metrics": {"get": get_text("metrics", "Counts for Prometheus", "text/plain")},
            "/openapi.json": {"get": get("openapi", "This document", {"type": "object"})},
            "/": {"get": get_text("demo", "A page to try the model with", "text/html")},
        },
        "components": {"schemas": {"Error": _error()}},
    }
    spoken, owners = tuple(dialects), {}
    for dialect in reversed(spoken):  # the first that has a path is whose it is
        if dialect.name == KILN:
            continue
        paths = import_module(f".{dialect.name}", __package__).paths
        for path, operations in paths(models, settings).items():
            whole["paths"].setdefault(path, {}).update(operations)
            owners[path] = dialect
    probes = OPEN | {path for dialect in spoken for path in dialect.probes(settings)}
    foreign = {path for path, dialect in owners.items() if dialect.error is not kiln_error}
    for path in whole["paths"].keys() - probes:
        refused = plain_error if path in foreign else error
        for operation in whole["paths"][path].values():
            operation["responses"].setdefault("503", refused("It waited until its deadline, or would have"))
    return with_keys(whole, probes, foreign) if settings.api_keys else whole


def _ready() -> Schema:
    return fields(status={"const": "ready"}, models=array({"type": "object"}))


def _version() -> Schema:
    text: Schema = {"type": "string"}
    build: Schema = {
        "type": ["object", "null"],
        "properties": dict.fromkeys(("release", "commit", "time"), text),
        "description": "of the installation; null in a checkout",
    }
    return fields(kiln=text, build=build, python=text, models=array({"type": "object"}))


def _error() -> Schema:
    return fields(
        error=fields(
            code={"type": "string", "description": "stable; match on this"},
            message={"type": "string", "description": "for people: what to do about it"},
        ),
        request_id={"type": "string"},
    )
