"""A multipart/form-data body -> its parts, in order, as clients write them: RFC 7578, leniently read."""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple, NoReturn

from werkzeug.http import parse_options_header

from ..errors import RequestError
from .encoded import from_base64
from .media import media_type

_MOST_PARTS = 2048
_MOST_HEADER = 16 * 1024  # bytes of a part's header
_MOST_HEADERS = 512 * 1024  # of all parts together: to read them takes half a microsecond a byte
_LOOKED_AT = 1024  # bytes of a part by which text is told from a file
# Lines end with CRLF. Many a client that was written by hand ends them otherwise.
_LINE_BREAK = re.compile(rb"\r\n|\n|\r")
_LINE_END = re.compile(rb"[ \t]*(?:\r\n|\n|\r)")
_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_FOLDED = re.compile(rb"(?:\r\n|\n|\r)[ \t]+")


class Part(NamedTuple):
    """A part of a form.

    name: of its field, empty where it has none. headers: by name in lower case. content: as it was sent.
    """

    name: str
    has_filename: bool
    headers: dict[str, str]
    content: bytes

    def file(self) -> bytes | None:
        """The bytes of the file that it holds, unpacked as its Content-Transfer-Encoding says; None where it is text.

        A file needs no name (RFC 7578 section 4.2): its media type or its content tells it, too.
        Raises RequestError 400.
        """
        content = self._unpacked()
        kind = self.headers.get("content-type", "").lower() or "text/plain"
        return content if self.has_filename or not kind.startswith("text/") or not _is_text(content) else None

    def _unpacked(self) -> bytes:
        """Browsers pack nothing, and RFC 7578 section 4.7 wants nothing packed; makers of mails do it."""
        encoding = self.headers.get("content-transfer-encoding", "").lower()
        if encoding in ("", "7bit", "8bit", "binary"):
            return self.content
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.content)
        if encoding != "base64":
            _broken(f"Content-Transfer-Encoding {encoding[:100]} is not taken. Send the field {self.name} without it.")
        try:
            return from_base64(self.content.decode("latin-1"))
        except binascii.Error as fault:
            message = f"The field {self.name} is not the base64 that its Content-Transfer-Encoding announces."
            raise RequestError(400, "bad_base64", message) from fault


def read_form(body: bytes, boundary: str) -> Iterator[Part]:
    """Every part, in order. boundary: as the Content-Type of the body names it.

    A part that is multipart/mixed, as curl makes of `-F image=@a.jpg,b.jpg`, stands for the parts within it, which have
    its name. Raises RequestError 400.
    """
    numbers, left = count(1), _MOST_HEADERS
    for headers, content in _split(body, boundary, numbers):
        left -= sum(map(len, headers.values()))
        if left < 0:
            _broken(f"Its parts have more than {_MOST_HEADERS} bytes of headers. Send fewer fields.")
        disposition, options = parse_options_header(headers.get("content-disposition"))
        if not disposition:
            _broken("A part of it has no line like Content-Disposition: form-data; name=image.")
        name = options.get("name", "")
        kind = media_type(headers.get("content-type"))
        if kind.name != "multipart/mixed":
            yield Part(name, "filename" in options, headers, content)
            continue
        for inner, held in _split(content, kind.parameters.get("boundary", ""), numbers):
            left -= sum(map(len, inner.values()))
            _, options = parse_options_header(inner.get("content-disposition"))
            yield Part(name, "filename" in options, inner, held)


def _split(body: bytes, boundary: str, numbers: Iterator[int]) -> Iterator[tuple[dict[str, str], bytes]]:
    """(headers, content) of each part. numbers: of the parts of the whole form, those within others included."""
    if not boundary:
        _broken("Its Content-Type names no boundary. Let the HTTP library that makes the body set that header.")
    mark = b"--" + boundary.encode("latin-1", "replace")
    begins = None  # of the part that is being read; what stands before the first is for nobody
    at = body.find(mark)
    while at >= 0:
        if begins is None or body[at - 1 : at] in (b"\n", b"\r"):
            after = at + len(mark)
            closes, line_end = body.startswith(b"--", after), _LINE_END.match(body, after)
            if closes or line_end:
                if begins is not None:
                    if next(numbers) > _MOST_PARTS:
                        _broken(f"It has more than {_MOST_PARTS} parts. Send fewer fields.")
                    yield _part(body, begins, at)
                if line_end is None:
                    return
                begins = line_end.end()
        at = body.find(mark, at + 1)
    if begins is None:
        _broken("It has no line with the boundary that its Content-Type names. Check the boundary.")
    _broken("It ends before its closing boundary. Send it again.")


def _part(body: bytes, begins: int, ends: int) -> tuple[dict[str, str], bytes]:
    """(headers, content) of the part from `begins` up to the boundary at `ends`, to which the line break before it
    belongs.
    """
    blank = _LINE_BREAK.match(body, begins, ends) or _BLANK_LINE.search(body, begins, min(ends, begins + _MOST_HEADER))
    if blank is None:
        _broken(f"A part of it has no blank line behind its headers, or more than {_MOST_HEADER} bytes of them.")
    ends -= 2 if body.endswith(b"\r\n", begins, ends) else 1
    return _headers(body[begins : blank.start()]), body[blank.end() : ends]


def _headers(lines: bytes) -> dict[str, str]:
    """By name in lower case. What is not UTF-8, as old clients write the name of a file, is in nothing that is used."""
    pairs = [line.decode("utf-8", "replace").partition(":") for line in _FOLDED.sub(b" ", lines).splitlines()]
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _is_text(content: bytes) -> bool:
    begins = content[:_LOOKED_AT]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(begins)  # which may end within a character
    except UnicodeDecodeError:
        return False
    return b"\0" not in begins


def _broken(message: str) -> NoReturn:
    raise RequestError(400, "broken_form", f"The multipart body cannot be read. {message}")
