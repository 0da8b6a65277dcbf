"""BYTES in binary data: each element behind its length, four bytes, little-endian."""

from __future__ import annotations

import struct
from collections.abc import Iterable

_LENGTH = struct.Struct("<I")


def unpack(content: memoryview, count: int, name: str) -> list[bytes]:
    """The elements of the input `name`, of which there must be `count`. Raises ValueError that says what is wrong."""
    found: list[bytes] = []
    at, end = 0, len(content)
    while at < end:
        if end - at < _LENGTH.size:
            raise ValueError(
                f"incomplete string length indicator for inference input '{name}', expecting 4 bytes but only "
                f"{end - at} bytes available"
            )
        (length,) = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size
        if length > end - at:
            raise ValueError(
                f"incomplete string data for inference input '{name}', expecting string of length {length} but only "
                f"{end - at} bytes available"
            )
        found.append(bytes(content[at : at + length]))
        at += length
        if len(found) > count:
            break
    if len(found) != count:
        got = "more" if len(found) > count else len(found)
        raise ValueError(f"expected {count} string elements for inference input '{name}', got {got}")
    return found


def pack(elements: Iterable[bytes | str]) -> bytes:
    """Elements, text as UTF-8, one behind the other."""
    parts: list[bytes] = []
    for element in elements:
        content = element.encode() if isinstance(element, str) else bytes(element)
        parts += (_LENGTH.pack(len(content)), content)
    return b"".join(parts)
