"""Request bytes -> pictures. Reads a body once, within its limits of size and time."""

from __future__ import annotations

import base64
import binascii
import io
import re
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import orjson
from flask import Request
from werkzeug.formparser import FormDataParser

from .errors import RequestError
from .settings import Settings

FIELDS = ("image", "file")
_STEP = 256 * 1024
# A refused body is read and thrown away this far, so that the client gets to read the answer instead of a reset
# connection. Beyond that it is cut off.
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 2.0
# The rest of the body may still come, so that nothing else can be read from this connection.
_CLOSE = {"Connection": "close"}
_DATA_URL = re.compile(r"data:[\w.+/-]*(?:;[\w.+=-]+)*,", re.ASCII)
_URL_SAFE = str.maketrans("-_", "+/", " \t\r\n")
_HOW = (
    "Send the picture as multipart/form-data (field image), as a raw body with its image/* type or "
    'application/octet-stream, or as JSON {"instances": [{"b64": "..."}]}.'
)


def read_pictures(request: Request, settings: Settings) -> list[bytes]:
    """Every picture in the request, in order, still encoded: at least one.

    Raises RequestError 400 (nothing sent, broken form, JSON or base64, too many), 408 (body too slow), 413 (body
    too large) or 415 (media type not taken).
    """
    kind = request.mimetype
    if kind == "multipart/form-data":
        pictures = _from_form(request, read_body(request, settings))
    elif kind == "application/json":
        pictures = _from_json(read_body(request, settings))
    elif kind.startswith("image/") or kind in ("application/octet-stream", ""):
        body = read_body(request, settings)
        pictures = [body] if body else []
    else:
        _drain(request)
        raise RequestError(415, "unsupported_media_type", f"Content-Type {kind} is not taken. {_HOW}")
    if not pictures:
        raise RequestError(400, "no_image", f"The request has no picture. {_HOW}")
    if len(pictures) > settings.max_images:
        raise RequestError(
            400,
            "too_many_images",
            f"{len(pictures)} images were sent; at most {settings.max_images} are taken at once.",
        )
    return pictures


def read_body(request: Request, settings: Settings) -> bytes:
    """The whole body. Raises RequestError 413 when it is over the limit, whatever its headers claim, 408 when it
    does not arrive in time, and 400 when it ends before its Content-Length."""
    limit, length = settings.max_body_bytes, request.content_length
    if length is not None and length > limit:
        _drain(request)
        _too_large(limit)
    parts, total = [], 0
    for part in _parts(request, settings.body_timeout, length):
        total += len(part)
        if total > limit:
            _drain(request)
            _too_large(limit)
        parts.append(part)
    if length is not None and total < length:
        raise RequestError(
            400, "incomplete_body", f"The body has {total} bytes of the {length} announced. Send it again."
        )
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _parts(request: Request, seconds: float, length: int | None) -> Iterator[bytes]:
    stream = request.environ["wsgi.input"]
    if length is None and not request.environ.get("wsgi.input_terminated"):
        return
    if not request.environ.get("kiln.body_deadline"):  # deploy/worker.py keeps it, and exactly
        _limit_wait(request, seconds)
    deadline, left = time.monotonic() + seconds, length
    while left is None or left > 0:
        try:
            part = stream.read(_STEP if left is None else min(_STEP, left))
        except (TimeoutError, BlockingIOError) as late:
            raise _slow(seconds) from late
        except Exception as fault:  # the server's own classes for broken chunks and closed connections
            raise RequestError(400, "broken_body", "The request body could not be read to its end.", _CLOSE) from fault
        if not part:
            return
        if left is not None:
            left -= len(part)
        yield part
        if time.monotonic() > deadline:
            raise _slow(seconds)


def _slow(seconds: float) -> RequestError:
    return RequestError(
        408, "body_timeout", f"The body did not arrive within {seconds:g} seconds. Send it again.", _CLOSE
    )


def _too_large(limit: int) -> NoReturn:
    message = f"The body is larger than {limit:,} bytes. Send fewer or smaller pictures."
    raise RequestError(413, "body_too_large", message, _CLOSE)


def _drain(request: Request) -> None:
    stream, deadline, left = request.environ["wsgi.input"], time.monotonic() + _DRAIN_SECONDS, _DRAIN_BYTES
    if request.content_length is None and not request.environ.get("wsgi.input_terminated"):
        return
    _limit_wait(request, _DRAIN_SECONDS)
    try:
        while left > 0 and time.monotonic() < deadline and (part := stream.read(_STEP)):
            left -= len(part)
    except Exception:  # noqa: S110  nothing of it is wanted; the answer is sent either way
        pass


def _limit_wait(request: Request, seconds: float) -> None:
    """Bound each wait for the client. The server hands over the socket for this; elsewhere there is none."""
    socket = request.environ.get("gunicorn.socket")
    if socket is not None:
        socket.settimeout(seconds)


def _in_memory(*_: Any, **__: Any) -> io.BytesIO:
    """Where form files go: the body is in memory already and bounded, a temporary file would copy it to disk."""
    return io.BytesIO()


def _from_form(request: Request, body: bytes) -> list[bytes]:
    boundary = request.mimetype_params.get("boundary", "")
    try:
        parser = FormDataParser(
            stream_factory=_in_memory, max_form_memory_size=len(body), max_form_parts=2048, silent=False
        )
        _, form, files = parser.parse(io.BytesIO(body), "multipart/form-data", len(body), {"boundary": boundary})
    except Exception as fault:
        raise RequestError(400, "broken_form", "The multipart body cannot be read. Check its boundary.") from fault
    pictures = [file.read() for name, file in files.items(multi=True) if name in FIELDS]
    if pictures and not any(pictures):
        raise RequestError(400, "empty_image", "The file sent is empty (0 bytes). Choose another.")
    if not pictures and any(name in form for name in FIELDS):
        raise RequestError(400, "no_image", "The field holds text, not a file. With curl, write -F image=@photo.jpg")
    if not pictures and (others := sorted(set(files) | set(form))):
        raise RequestError(400, "no_image", f"No field named image or file; there is {', '.join(others)[:200]}.")
    return pictures


def _from_json(body: bytes) -> list[bytes]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise RequestError(400, "broken_json", f"The body is not JSON: {fault}") from fault
    instances = data.get("instances") if isinstance(data, dict) else None
    if not isinstance(instances, list):
        raise RequestError(400, "bad_instances", 'Send an object with a list: {"instances": [{"b64": "..."}]}')
    pictures, problems = [], []
    for number, instance in enumerate(instances):
        try:
            pictures.append(_from_base64(instance))
        except ValueError as fault:
            problems.append((number, fault))
    if problems:
        kinds = {type(fault) for _, fault in problems}
        code = "bad_base64" if kinds == {binascii.Error} else "bad_instances"
        raise RequestError(400, code, "; ".join(f"instances[{number}] {fault}" for number, fault in problems[:20]))
    return pictures


def _from_base64(instance: Any) -> bytes:
    """Standard and URL-safe alphabets, padded or not, data URLs. Raises ValueError, or binascii.Error (its child)."""
    text = instance.get("b64") if isinstance(instance, dict) else None
    if not isinstance(text, str):
        raise ValueError('is not an object like {"b64": "..."}')
    if (prefix := _DATA_URL.match(text[:200])) is not None:
        if not prefix[0].endswith(";base64,"):
            raise ValueError("is a data URL that is not base64")
        text = text[prefix.end() :]
    text = text.translate(_URL_SAFE).rstrip("=")
    if not text:
        raise ValueError("is empty")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as fault:
        raise binascii.Error("is not valid base64") from fault
