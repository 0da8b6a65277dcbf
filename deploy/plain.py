"""Reads the commonest request in one go: one picture as a raw body, posted to /predict, here from first to last byte.

gunicorn's parser is made for everything that HTTP allows, piece by piece as it arrives, in Python. Next to an engine
that turns over the processor's caches it costs a tenth of an answer's time (`./kiln bench`). This one knows a single
form, strictly, and one regular expression does the work in C. Whatever it is not sure of, it leaves to gunicorn with
every byte: it never refuses anything.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_HEAD = 4096
# RFC 9112 section 5: a field's name is a token, its value visible characters and blanks; no folded lines.
_HEAD = re.compile(rb"POST /predict HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n){1,64}\r\n")
_FIELDS = re.compile(
    rb"\n(content-(?:length|type|encoding)|x-request-id|host|connection|expect|transfer-encoding|upgrade):"
    rb"[\t ]*([^\r]*?)[\t ]*\r",
    re.IGNORECASE,
)
_UNDERSTOOD = frozenset({b"host", b"content-length", b"content-type", b"x-request-id", b"connection"})


class Plain(NamedTuple):
    """What there is to know of it: its media type, the request id that the client offers, and the picture."""

    kind: str
    request_id: str
    body: bytes


def read(data: bytes) -> Plain | None:
    """All that a connection has sent -> the plain request that it is; None for any other, and for a part or more."""
    head = _HEAD.match(data, 0, MAX_HEAD)
    if head is None:
        return None
    found = [(name.lower(), value) for name, value in _FIELDS.findall(data, 0, head.end())]
    fields = dict(found)
    length = fields.get(b"content-length", b"")
    if (
        len(fields) != len(found)  # one is given twice
        or not fields.keys() <= _UNDERSTOOD
        or fields.get(b"connection", b"keep-alive").lower() != b"keep-alive"
        or b"host" not in fields
        or not length.isdigit()
        or int(length) != len(data) - head.end()
    ):
        return None
    kind = fields.get(b"content-type", b"")
    if not kind.startswith(b"image/"):
        return None
    return Plain(kind.decode("latin-1"), fields.get(b"x-request-id", b"").decode("latin-1"), data[head.end() :])
