"""A compressed body -> what it holds, with a limit: a few bytes can unpack to any number of them."""

from __future__ import annotations

import zlib

from ..errors import RequestError

_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """What a body holds. encoding: its Content-Encoding, of RFC 9110 section 8.4: gzip, deflate (zlib) or nothing.

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
    unpacker = zlib.decompressobj(_WINDOW[encoding])
    try:
        content = unpacker.decompress(body, limit + 1)
    except zlib.error as fault:
        raise RequestError(400, "broken_encoding", f"The body is not {encoding}. Send it again.") from fault
    if len(content) > limit:
        raise RequestError(413, "body_too_large", f"The body unpacks to more than {limit:,} bytes. Send less at once.")
    if not unpacker.eof or unpacker.unused_data:
        raise RequestError(400, "broken_encoding", f"The {encoding} body does not end where it should. Send it again.")
    return content
