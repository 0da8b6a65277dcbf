"""The protocols that clients speak: what a dialect is, and which one a path belongs to.

Each dialect is one file in `resources/`, which ends in a `DIALECT` that `routes.py` lists. They share everything below
the form of a request: the store, the decoding, the engine, the errors, the metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from flask import Flask, g, request

if TYPE_CHECKING:
    from model.store import Store

    from .errors import Api
    from .settings import Settings
    from .telemetry.timing import Timing

JSON = "application/json"


class Answer(NamedTuple):
    """A 200. headers: beside the media type, the length and the request id."""

    content: bytes
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


# (path, header fields by name in lower case, body, timing) -> the answer; None, or any exception, where the dialect's
# resource must answer, since it says what is wrong.
Quick = Callable[[str, dict[str, str], bytes, "Timing"], Answer | None]


def kiln_error(status: int, code: str, message: str, request_id: str) -> bytes:
    """The body of an error in our own dialect."""
    return orjson.dumps({"error": {"code": code, "message": message}, "request_id": request_id}) + b"\n"


def _no_paths(*_: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Dialect:
    """One protocol.

    name: as KILN_DIALECTS, the metrics and the logs have it.
    owns: whether a path is the dialect's own, also where there is nothing: errors there have its form.
    install: puts its URLs on the API.
    error: (status, code, message, request id) -> the body of an error, JSON.
    quick: makes the express way of its commonest request (express.py), where it has one.
    paths: (models that can answer, settings) -> its part of the OpenAPI document.
    """

    name: str
    owns: Callable[[str], bool]
    install: Callable[[Api, Store, Settings], None]
    error: Callable[[int, str, str, str], bytes] = kiln_error
    quick: Callable[[Store, Settings], Quick] | None = None
    paths: Callable[..., dict[str, Any]] = _no_paths


class Dialects:
    """Those that are on, our own last: it owns what no other does."""

    def __init__(self, others: Sequence[Dialect], own: Dialect) -> None:
        self._others = tuple(others)
        self._own = own

    def __iter__(self) -> Any:
        return iter((*self._others, self._own))

    def of(self, path: str) -> Dialect:
        """The dialect that a path belongs to."""
        return next((dialect for dialect in self._others if dialect.owns(path)), self._own)


def install(app: Flask, dialects: Dialects) -> None:
    """Let every request know its dialect."""

    @app.before_request
    def recognise() -> None:
        g.dialect = dialects.of(request.path)
