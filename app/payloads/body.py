"""The body of a request: read once, as a whole, within its limits of size and time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NoReturn

from flask import Request

from ..errors import RequestError
from ..settings import Settings
from .compressed import decompress

_STEP = 256 * 1024
# A refused body is read and thrown away this far, so that the client gets to read the answer instead of a reset
# connection. Beyond that it is cut off.
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 2.0
# The rest of the body may still come, so that nothing else can be read from this connection.
_CLOSE = {"Connection": "close"}


def read_body(request: Request, settings: Settings) -> bytes:
    """All of the body, as it was sent.

    Raises RequestError 413 when it is over the limit, whatever its headers claim, 408 when it does not arrive in time,
    and 400 when it ends before its Content-Length.
    """
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


def read_whole(request: Request, settings: Settings) -> bytes:
    """The body, unpacked as its Content-Encoding says. Raises RequestError as read_body and decompress do."""
    body = read_body(request, settings)
    return decompress(body, request.headers.get("Content-Encoding", ""), settings.max_body_bytes)


def _parts(request: Request, seconds: float, length: int | None) -> Iterator[bytes]:
    stream = request.environ["wsgi.input"]
    if length is None and not request.environ.get("wsgi.input_terminated"):
        return
    if not request.environ.get("kiln.body_deadline"):  # deploy/threads.py keeps it, and exactly
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
    message = f"The body is larger than {limit:,} bytes. Send fewer or smaller pictures, or fewer instances."
    raise RequestError(413, "body_too_large", message, _CLOSE)


def _drain(request: Request) -> None:
    stream, deadline, left = request.environ["wsgi.input"], time.monotonic() + _DRAIN_SECONDS, _DRAIN_BYTES
    if request.content_length is None and not request.environ.get("wsgi.input_terminated"):
        return
    if request.environ.get("kiln.body_held_back"):  # the client waits for a word, and this answer is it
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
