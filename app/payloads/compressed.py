"""A compressed body -> what it holds, with a limit: a few bytes can unpack to any number of them."""

from __future__ import annotations

import zlib

from ..errors import RequestError

_PIECE = 16 * 1024  # fed at once: zlib copies what is left of it behind the end of each member of gzip
_MAGIC = b"\x1f\x8b"  # with which a member of gzip begins
_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """What a body holds. encoding: its Content-Encoding, of RFC 9110 section 8.4: gzip (of any number of members, as in
    RFC 1952 section 2.2), deflate (zlib) or nothing.

    Raises RequestError 415 for another encoding, 413 where it unpacks to more than `limit` bytes (no more than that is
    ever held), 400 where it is damaged, ends early, or has something behind its end.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOW:
        raise RequestError(
            415,
            "unsupported_encoding",
            f"Content-Encoding {encoding[:100]} is not taken. Send gzip, deflate or neither.",
            {"Accept-Encoding": "gzip, deflate"},
        )
    try:
        parts, whole = _members(memoryview(body), _WINDOW[encoding], limit)
    except zlib.error as fault:
        raise RequestError(400, "broken_encoding", f"The body is not {encoding}. Send it again.") from fault
    if not whole:
        raise RequestError(400, "broken_encoding", f"The {encoding} body does not end where it should. Send it again.")
    return b"".join(parts)


def _members(body: memoryview, window: int, limit: int) -> tuple[list[bytes], bool]:
    """(what they hold in parts, whether the body ends where the last of them does). Raises zlib.error, RequestError."""
    parts: list[bytes] = []
    begins, left = 0, limit
    unpacker = zlib.decompressobj(window)
    while begins < len(body):
        if unpacker.eof:
            if body[begins : begins + 2] != _MAGIC:
                return parts, False
            unpacker = zlib.decompressobj(window)
        piece = body[begins : begins + _PIECE]
        part = unpacker.decompress(piece, left + 1)
        left -= len(part)
        if left < 0:
            message = f"The body unpacks to more than {limit:,} bytes. Send less at once."
            raise RequestError(413, "body_too_large", message)
        if part:
            parts.append(part)
        begins += len(piece) - len(unpacker.unused_data)
    return parts, unpacker.eof
