"""What is wrong with a request, in the words that TensorFlow Serving has for it: clients match on them."""

from __future__ import annotations

from typing import Any

import orjson

from ...errors import RequestError

_MOST = 256  # bytes of a value in a message


def bad(message: str, code: str = "bad_instances") -> RequestError:
    """The original's INVALID_ARGUMENT."""
    return RequestError(400, code, message)


def shown(value: Any) -> str:
    """A JSON value in a message, cut where it is long."""
    try:
        text = orjson.dumps(value)
    except (TypeError, ValueError):  # nested deeper than orjson writes
        return "..."
    return text.decode() if len(text) <= _MOST else text[:_MOST].decode(errors="ignore") + "..."
