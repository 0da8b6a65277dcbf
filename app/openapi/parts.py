"""What the document repeats: answers, errors, and objects."""

from __future__ import annotations

from typing import Any

from ..telemetry.request_id import HEADER

Schema = dict[str, Any]
JSON = "application/json"


def fields(**properties: Schema) -> Schema:
    """An object that has all of these."""
    return {"type": "object", "required": list(properties), "properties": properties}


def array(items: Schema, least: int = 0) -> Schema:
    """A list of some length."""
    return {"type": "array", "items": items} | ({"minItems": least} if least else {})


def any_of(schemas: list[Schema]) -> Schema:
    """One of several, each named once; anything where there is none."""
    several = [schema for index, schema in enumerate(schemas) if schema not in schemas[:index]]
    return {"anyOf": several} if len(several) > 1 else several[0] if several else {}


def id_parameter() -> Schema:
    """The request id, as every path takes it."""
    return {
        "name": HEADER,
        "in": "header",
        "schema": {"type": "string"},
        "description": "taken over where it is sane, else replaced",
    }


def _id_header() -> Schema:
    return {HEADER: {"schema": {"type": "string"}, "description": "joins the answer, the logs and the proxy's log"}}


def ok(kind: str, schema: Schema, meaning: str) -> Schema:
    """An answer of one media type."""
    return {"description": meaning, "headers": _id_header(), "content": {kind: {"schema": schema}}}


def error(meaning: str) -> Schema:
    """An answer in our own form of an error."""
    return ok(JSON, {"$ref": "#/components/schemas/Error"}, meaning)


def plain_error(meaning: str) -> Schema:
    """An answer in the form of an error that the other protocols have."""
    return ok(JSON, fields(error={"type": "string", "description": "what is wrong"}), meaning)


def get(name: str, summary: str, schema: Schema, others: Schema | None = None) -> Schema:
    """A GET that answers JSON."""
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": ok(JSON, schema, "OK"), **(others or {})},
    }


def get_text(name: str, summary: str, kind: str) -> Schema:
    """A GET that answers text of some kind."""
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": ok(kind, {"type": "string"}, "OK")},
    }
