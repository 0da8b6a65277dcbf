"""The protocols that clients speak: what a dialect is, and which one a path belongs to.

Each dialect is one file in `resources/`, which ends in a `DIALECT` that `routes.py` lists. They share everything below
the form of a request: the store, the decoding, the engine, the errors, the metrics.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import orjson
from flask import Flask, g, request

from .telemetry import request_id

if TYPE_CHECKING:
    from model.store import Store

    from .errors import Api, RequestError
    from .settings import Settings
    from .telemetry.timing import Timing

JSON = "application/json"
PATHS = 256  # of which the dialect is remembered: clients make paths up


class Answer(NamedTuple):
    """A 200. headers: beside the media type, the length and the request id."""

    content: bytes
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Posted(NamedTuple):
    """A POST that is here as a whole. fields: of its head, by name in lower case; those that are missing are empty or
    left out."""

    path: str
    query: str
    fields: dict[str, str]
    body: bytes


# The answer; None, or any exception, where the dialect's resource must answer, since it says what is wrong.
Quick = Callable[[Posted, "Timing"], Answer | None]


def kiln_error(status: int, code: str, message: str, request_id: str) -> bytes:
    """The body of an error in our own dialect."""
    return orjson.dumps({"error": {"code": code, "message": message}, "request_id": request_id}) + b"\n"


def _nowhere(settings: Settings) -> Collection[str]:
    return ()


class Dialect(NamedTuple):
    """One protocol. Its part of the OpenAPI document is `openapi/<name>.py`'s.

    name: as KILN_DIALECTS, the metrics and the logs have it.
    owns: whether a path is the dialect's own, also where there is nothing: errors there have its form.
    install: puts its URLs on the API.
    error: (status, code, message, request id) -> the body of an error, JSON.
    quick: makes the express way of its commonest request (express.py), where it has one.
    exact: the paths that settings give it. They are its own before any other's.
    probes: the paths that its platform asks about the node: answered first, and without an API key.
    id_header: the header in which its platform names a request; that goes before X-Request-ID.
    overload_status: of what is refused because too much waits.
    unrouted: what is raised for a path or a method of its own that no URL has; None for 404 and 405.
    """

    name: str
    owns: Callable[[str], bool]
    install: Callable[[Api, Store, Settings], None]
    error: Callable[[int, str, str, str], bytes] = kiln_error
    quick: Callable[[Store, Settings], Quick] | None = None
    exact: Callable[[Settings], Collection[str]] = _nowhere
    probes: Callable[[Settings], Collection[str]] = _nowhere
    id_header: str = ""
    overload_status: int = 503
    unrouted: Callable[[], RequestError] | None = None


class Dialects:
    """Those that are on, our own last: it owns what no other does. Those with paths of settings come first.

    probes: the paths of all platforms' health checks. platform_ids: the headers in which platforms name requests, in
    lower case. of: a path -> the dialect that it belongs to, which is asked
    several times for each request.
    """

    def __init__(self, others: Sequence[Dialect], own: Dialect, settings: Settings) -> None:
        self._exact = {path: dialect for dialect in others for path in dialect.exact(settings)}
        self._others = tuple(sorted(others, key=lambda dialect: not dialect.exact(settings)))
        self._own = own
        self.probes = frozenset(path for dialect in others for path in dialect.probes(settings))
        self.platform_ids = frozenset(dialect.id_header.lower() for dialect in others if dialect.id_header)
        self._id_headers = (*sorted(self.platform_ids), request_id.HEADER.lower())
        self.of = functools.lru_cache(PATHS)(self._find)

    def __iter__(self) -> Iterator[Dialect]:
        return iter((*self._others, self._own))

    def _find(self, path: str) -> Dialect:
        if path in self._exact:
            return self._exact[path]
        return next((dialect for dialect in self._others if dialect.owns(path)), self._own)

    def offered_id(self, field: request_id.Lookup) -> str:
        """The id that comes with a request, a platform's or else the client's; empty where there is none.

        field: gives a field of its head by its name in lower case.
        """
        return next((value for name in self._id_headers if (value := field(name))), "")


def install(app: Flask, dialects: Dialects) -> None:
    """Let every request know its dialect."""

    @app.before_request
    def recognise() -> None:
        g.dialect = dialects.of(request.path)
