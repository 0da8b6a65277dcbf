"""A JSON body -> its instances: what every kind of model has in common."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Any

import orjson

from ..errors import RequestError

JSON = "application/json"
MOST_PROBLEMS = 20  # named in one answer
_NOT_JSON = re.compile(rb"[\[:,]\s*[+-]?(?:NaN|Infinity)\b")


def read_instances(body: bytes, form: Callable[[], str]) -> list[Any]:
    """The list under "instances", of whatever it holds. form: how such a body looks, for the message.

    Raises RequestError 400 where the body is no JSON (NaN, Infinity, numbers beyond a double and deep nesting
    included) or has no such list.
    """
    data = load(body)
    instances = data.get("instances") if isinstance(data, dict) else None
    if not isinstance(instances, list):
        raise RequestError(400, "bad_instances", f"Send an object with a list: {form()}")
    return instances


def check_most(count: int, what: str, most: int) -> None:
    """Raises RequestError 400 where there are too many. Asked before any is looked at: millions fit a body."""
    if count > most:
        message = f"{count} {what} were sent; at most {most} are taken at once."
        raise RequestError(400, f"too_many_{what}", message)


def load(body: bytes) -> Any:
    """A JSON text -> its value. Raises RequestError 400; NaN, Infinity, and what is nested too deep are no JSON.

    A byte order mark is passed over, as RFC 8259 section 8.1 allows: PowerShell and .NET write one.
    """
    try:
        return orjson.loads(body[len(codecs.BOM_UTF8) :] if body.startswith(codecs.BOM_UTF8) else body)
    except orjson.JSONDecodeError as fault:
        if (byte := _not_utf8(body)) is not None:
            message = f"The body is not UTF-8: see byte {byte}. Send JSON as UTF-8."
            raise RequestError(400, "broken_json", message) from fault
        hint = " JSON has no NaN and no Infinity; send finite numbers." if _NOT_JSON.search(body) else ""
        raise RequestError(400, "broken_json", f"The body is not JSON: {fault}.{hint}") from fault


def _not_utf8(body: bytes) -> int | None:
    """The index of the first byte that is not UTF-8, as RFC 8259 section 8.1 wants JSON; None where all are."""
    try:
        body.decode()
    except UnicodeDecodeError as fault:
        return fault.start
    return None
