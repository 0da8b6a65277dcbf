"""What the document says where API keys are on."""

from __future__ import annotations

from collections.abc import Collection

from .parts import Schema, error, plain_error

_SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer KEY"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def with_keys(document: Schema, unguarded: Collection[str], foreign: Collection[str]) -> Schema:
    """The document of a service that wants a key, in either header.

    unguarded: the paths where it wants none. foreign: those whose errors have the form of the other protocols.
    """
    paths = {
        path: {
            method: {**operation, "security": []} if path in unguarded else _guarded(operation, path in foreign)
            for method, operation in operations.items()
        }
        for path, operations in document["paths"].items()
    }
    components = {**document["components"], "securitySchemes": _SCHEMES}
    return {**document, "paths": paths, "components": components, "security": [{name: []} for name in _SCHEMES]}


def _guarded(operation: Schema, is_foreign: bool) -> Schema:
    refused = plain_error if is_foreign else error
    refusals = {"401": refused("No API key, or one that is not known"), "429": refused("The key was used too often")}
    return {**operation, "responses": {**operation["responses"], **refusals}}
