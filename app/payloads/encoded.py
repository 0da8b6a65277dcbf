"""Base64 and data URLs, as clients write them -> the bytes they stand for."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote

_DATA = "data:"
_MOST_HEAD = 4096  # characters of a data URL before its data: the name of a file may be among them
_DATA_URL = re.compile(r"data:.*?;base64,", re.IGNORECASE | re.DOTALL)
_URL_SAFE = str.maketrans("-_", "+/", " \t\r\n")


def from_text(text: str) -> bytes:
    """Base64, or a data URL that is base64 (RFC 2397). Raises as from_base64, and ValueError for another data URL."""
    if text[: len(_DATA)].lower() != _DATA:
        return from_base64(text)
    head = _DATA_URL.match(text[:_MOST_HEAD])
    if head is None:
        raise ValueError("is a data URL that is not base64")
    return from_base64(unquote(text[head.end() :]))


def from_base64(text: str) -> bytes:
    """Standard and URL-safe alphabets, padded or not, in lines or not. Raises binascii.Error, a ValueError."""
    text = text.translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as fault:
        raise binascii.Error("is not valid base64") from fault
