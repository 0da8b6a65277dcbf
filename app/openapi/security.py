"""What the document says where API keys are on."""

from __future__ import annotations

from collections.abc import Collection

from .parts import Schema, error

_SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer KEY"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def with_keys(document: Schema, unguarded: Collection[str]) -> Schema:
    """The document of a service that wants a key, in either header, on all but these paths."""
    paths = {
        path: {method: _operation(operation, path in unguarded) for method, operation in operations.items()}
        for path, operations in document["paths"].items()
    }
    components = {**document["components"], "securitySchemes": _SCHEMES}
    return {**document, "paths": paths, "components": components, "security": [{name: []} for name in _SCHEMES]}


def _operation(operation: Schema, is_open: bool) -> Schema:
    if is_open:
        return {**operation, "security": []}
    refusals = {"401": error("No API key, or one that is not known"), "429": error("The key was used too often")}
    return {**operation, "responses": {**refusals, **operation["responses"]}}  # a dialect has its own form of them
