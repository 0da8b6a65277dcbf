"""A body -> the one JSON object in it, as TensorFlow Serving reads JSON.

It takes more than JSON: NaN, Infinity and -Infinity, and anything at all behind the first value.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from ...errors import RequestError
from ..compressed import decompress
from .faults import bad, shown

_BLANK = " \t\r\n"
_LOWEST, _LARGEST, _DIGITS = -(2**63), 2**64 - 1, 20
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# What Python's parser says -> what clients of the original know.
_WORDS = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Expecting ',' delimiter": "Missing a comma or a closing bracket.",
}


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """The body, unpacked where its Content-Encoding has gzip in it; any other counts for nothing, as in the original.

    Raises RequestError 413 where it unpacks to more than `limit` bytes, 400 where it is damaged.
    """
    if "gzip" not in encoding.lower():
        return body
    try:
        return decompress(body, "gzip", limit)
    except RequestError as fault:
        if fault.status != 400:
            raise
        raise bad(f"JSON Parse error: The document is empty. {fault.message}", fault.code) from fault


def parse(body: bytes) -> dict[str, Any]:
    """The object that the body begins with. Raises RequestError 400."""
    document = value(body, alone=False)
    if not isinstance(document, dict):
        raise bad(f"JSON Value: {shown(document)} Is not object", "broken_json")
    return document


def value(body: bytes, *, alone: bool = True) -> Any:
    """The value that the body is; alone: nothing may stand behind it. Raises RequestError 400."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _first_value(body, alone=alone)


def _first_value(body: bytes, *, alone: bool) -> Any:
    """By a parser that takes NaN and stops at the value's end, at a tenth of the speed."""
    try:
        text = body.decode().lstrip(_BLANK)
        if not text:
            raise bad("JSON Parse error: The document is empty.", "broken_json")
        found, end = _DECODER.raw_decode(text)
        if alone and text[end:].strip(_BLANK):
            raise bad(
                f"JSON Parse error: The document root must not be followed by other values. at offset: {end}",
                "broken_json",
            )
        if _SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as fault:
        message = _WORDS.get(fault.msg, fault.msg)
        raise bad(f"JSON Parse error: {message} at offset: {fault.pos}", "broken_json") from fault
    except (UnicodeDecodeError, UnicodeEncodeError) as fault:
        raise bad(f"JSON Parse error: Invalid encoding in string. at offset: {fault.start}", "broken_json") from fault
    except RecursionError as fault:
        raise bad("JSON Parse error: It is nested too deep. at offset: 0", "broken_json") from fault
    except OverflowError as fault:
        raise bad(f"JSON Parse error: {fault} at offset: 0", "broken_json") from fault
    return found


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):  # the tokens Infinity do not come here
        raise OverflowError("Number too big to be stored in double.")
    return value


def _integer(text: str) -> float:
    """An integer of 64 bits, and a double beyond, as the fast parser has it."""
    value = int(text) if len(text) <= _DIGITS else _LARGEST + 1
    return value if _LOWEST <= value <= _LARGEST else _float(text)


_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_integer)
