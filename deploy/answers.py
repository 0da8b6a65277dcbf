"""The answers that a worker writes itself: those of plain requests, and refusals of what never gets to Flask."""

from __future__ import annotations

import functools
import http
import time
from collections.abc import Callable

from gunicorn import SERVER, util
from gunicorn.http import errors

RETRY = (("Retry-After", "1"),)  # seconds
HEAD_SECONDS = 5.0  # from the first byte of a request to the end of its headers


class HeadTimeout(errors.ParseException):
    """The head of a request did not arrive in time."""

    def __str__(self) -> str:
        return f"The head of the request did not arrive within {HEAD_SECONDS:g} seconds."


# What is wrong with a request that does not parse -> status, code, what to do. nginx.conf has the same codes.
_FAULTS: dict[type[Exception], tuple[int, str, str]] = {
    HeadTimeout: (408, "head_timeout", f"{HeadTimeout()} Send it again."),
    errors.LimitRequestLine: (414, "uri_too_long", "The address is too long. Shorten it."),
    errors.LimitRequestHeaders: (431, "headers_too_large", "The headers are too large. Send fewer or shorter ones."),
    errors.ExpectationFailed: (417, "expectation_failed", "Only Expect: 100-continue is taken."),
    errors.UnsupportedTransferCoding: (
        501,
        "not_implemented",
        "A transfer encoding that is not taken. Send the body with its length or chunked.",
    ),
    errors.ParseException: (
        400,
        "bad_request",
        "The request could not be read as HTTP. Check its first line and its headers.",
    ),
}
_OURS = (500, "internal_error", "Something went wrong here. Try again; the log has it under the request id.")


def of_fault(fault: Exception) -> tuple[int, str, str]:
    """(status, code, message) for what was raised while a request was read; 500 where that is no fault of its own."""
    if isinstance(fault, (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)):
        return _OURS
    return next((_FAULTS[kind] for kind in type(fault).__mro__ if kind in _FAULTS), _OURS)


def written(
    status: int,
    request_id: str,
    content: bytes,
    *,
    keep: bool,
    kind: str = "application/json",
    headers: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """A whole answer. keep: whether the connection stays. kind: the media type."""
    head = _head(status, keep, kind, headers, int(time.time()))
    return f"{head}Content-Length: {len(content)}\r\nX-Request-ID: {request_id}\r\n\r\n".encode("latin-1") + content


def refused(
    error: Callable[[int, str, str, str], bytes], status: int, code: str, message: str, request_id: str, *, keep: bool
) -> bytes:
    """The whole answer to a request that comes at a bad time. error: makes its body, as a dialect does. In a storm
    most differ in the request id alone."""
    parts = _around_id(error, status, code, message, len(request_id), keep, int(time.time()))
    return request_id.encode().join(parts)


@functools.lru_cache(64)
def _around_id(
    error: Callable[[int, str, str, str], bytes],
    status: int,
    code: str,
    message: str,
    length: int,
    keep: bool,
    second: int,
) -> list[bytes]:
    stand_in = length * "~"  # which is in no other place, nor in a request id
    content = error(status, code, message, stand_in)
    return written(status, stand_in, content, keep=keep, headers=RETRY).split(stand_in.encode())


@functools.lru_cache(16)  # most answers of a second have the same
def _head(status: int, keep: bool, kind: str, headers: tuple[tuple[str, str], ...], second: int) -> str:
    return (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n"
        f"Server: {SERVER}\r\n"
        f"Date: {util.http_date(second)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n"
        f"Content-Type: {kind}\r\n"
    ) + "".join(f"{name}: {value}\r\n" for name, value in headers)
