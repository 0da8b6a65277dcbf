"""Reads the commonest requests in one go: a body of known length that is posted, with its head here as a whole.

gunicorn's parser is made for everything that HTTP allows, piece by piece as it arrives, in Python. Next to an engine
that turns over the processor's caches it costs a tenth of an answer's time (`./kiln bench`). This one knows a single
form, strictly, and two regular expressions do the work in C. Whatever it is not sure of, it leaves to gunicorn with
every byte: it never refuses anything.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_HEAD = 4096
# RFC 9112 section 5: a field's name is a token, its value visible characters and blanks; no folded lines. Of the fields
# that say where a request ends and what becomes of its connection, one each at most, (?(3)(?!)) says: not if group 3 is
# there already. Those that change what a body is are none of ours.
_HEAD = re.compile(
    rb"POST (/[A-Za-z0-9._~:/-]*)(?:\?([A-Za-z0-9._~=&-]*))? HTTP/1\.1\r\n"
    rb"(?:(?:(?i:content-length):[\t ]*(?(3)(?!))([0-9]{1,18})[\t ]*"
    rb"|(?i:host):(?(4)(?!))([\t\x20-\x7e\x80-\xff]*)"
    rb"|(?i:connection):[\t ]*(?(5)(?!))((?i:close|keep-alive))[\t ]*"
    rb"|(?!(?i:content-length|host|connection|content-encoding|transfer-encoding|upgrade):)"
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*"
    rb")\r\n){1,64}\r\n"
)
_FIELDS = re.compile(
    r"\n(content-(?:length|type)|x-(?:request-id|request-start|deadline-ms)|expect|traceparent"
    r"|inference-header-content-length|x-fc-request-id|x-amzn-sagemaker-inference-id|authorization|x-api-key)"
    r":[\t ]*([^\r\n]*)",  # blanks at its end go later: a pattern would look for them at each blank within
    re.IGNORECASE | re.ASCII,
)
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (/[!-\x3e@-~]*)")  # up to the query
# What a head may begin with and its first line may be, after the one empty line that gunicorn takes, too.
_BEGINNING = re.compile(rb"(?:\r\n)?(?:[!#$%&'*+.^_`|~0-9A-Za-z-]|\r?\Z)")
_REQUEST_LINE = re.compile(rb"(?:\r\n)?[^ \r\n]+ [^ \r\n]+ HTTP/1\.[0-9]\r\n")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_CONTINUE = "100-continue"  # its client wants to be told to send its body (RFC 9110 section 10.1.1)
_EXPECT = re.compile(rb"\r\nExpect:[^\r\n]*", re.IGNORECASE)
_IDS = re.compile(rb"\n(x-(?:request-id|fc-request-id|amzn-sagemaker-inference-id)):[\t ]*([^\r\n]*)", re.IGNORECASE)


class Plain(NamedTuple):
    """What there is to know of it: its path and query, with nothing in either that is encoded, the fields that matter,
    by name in lower case, where its body begins and ends in what is sent, and whether the client keeps the connection.
    """

    path: str
    query: str
    fields: dict[str, str]
    begins: int
    ends: int
    keep: bool


def framed(data: bytes) -> Plain | None:
    """All that a connection has sent -> the plain request that it is or begins; None for any other, and for more.

    Its fields are left to `read`: one that is refused needs none, and reading them takes longer than all the rest.
    """
    head = _HEAD.match(data, 0, MAX_HEAD)
    if head is None:
        return None
    path, query, length, host, connection = head.groups()
    if length is None or host is None or (ends := head.end() + int(length)) < len(data):
        return None
    keep = connection is None or len(connection) != len(b"close")
    return Plain(path.decode(), query.decode() if query else "", {}, head.end(), ends, keep)


def read(data: bytes) -> Plain | None:
    """As `framed`, with its fields. None also where one of those that matter is given twice."""
    request = framed(data)
    if request is None:
        return None
    found = _FIELDS.findall(data[: request.begins].decode("latin-1"))
    fields = request.fields
    fields.update(_named(found))
    if len(fields) != len(found) or fields.get("expect", _CONTINUE).lower() != _CONTINUE:
        return None
    return request


def expectation_met(data: bytes) -> bytes:
    """The head of a plain request as it reads once its client has been told to go on."""
    return _EXPECT.sub(b"", data, 1)


def fields(data: bytes) -> dict[str, str]:
    """Of any request's head, the fields that matter; of one given twice, the last."""
    end = max(0, data.find(b"\r\n\r\n", 0, 2 * MAX_HEAD)) + 1
    return _named(_FIELDS.findall(data[:end].decode("latin-1")))


def ids(data: bytes, request: Plain) -> dict[str, str]:
    """The fields that may name a request."""
    found = _IDS.findall(data, 0, request.begins)
    return _named([(name.decode(), value.decode("latin-1")) for name, value in found]) if found else {}


def target(data: bytes) -> tuple[str, str]:
    """(method, path) of any request's first line, without the query; both empty where it has none that is sane."""
    line = _LINE.match(data, 0, MAX_HEAD)
    return (line[1].decode(), line[2].decode()) if line else ("", "")


def beyond_hope(data: bytes) -> bytes:
    """The beginning of a head -> what to give to gunicorn's parser, where that is sure to refuse it at once; empty
    where it may become a request."""
    if not _BEGINNING.match(data):  # TLS, most often; the parser would wait for the end of a line
        return data + b"\r\n\r\n"
    line_ended = data.find(b"\n", 2) > 0
    return data if (line_ended and not _REQUEST_LINE.match(data)) or _BARE_LF.search(data) else b""


def is_all(data: bytes) -> bool:
    """Whether it is one request whole and nothing more."""
    length = fields(data).get("content-length", "0")
    return length.isascii() and length.isdecimal() and len(data) == data.find(b"\r\n\r\n") + 4 + int(length)


def _named(found: list[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value.rstrip("\t ") for name, value in found}
