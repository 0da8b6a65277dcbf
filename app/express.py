"""The express way of the commonest request: one picture as a raw body that has arrived as a whole.

It does what `routes` and `resources/predict.py` do, with the same functions, but builds no request, context and
response of Flask around them: next to an engine that turns over the processor's caches, those cost more than all the
rest of the way (`./kiln bench`: Kiln / bare loop). Whatever is unusual, and everything that fails, is handed to Flask
with its body, so that there is one place for errors.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from typing import Any

from model.store import Store

from .predictions import DEFAULT_TOP, answer, decode
from .selection import client
from .settings import Settings
from .telemetry import metrics, request_id

ROUTE = "/predict"


class Express:
    """A WSGI application in front of Flask's."""

    def __init__(self, flask: Callable[..., Iterable[bytes]], store: Store, settings: Settings) -> None:
        self._flask = flask
        self._store = store
        self._settings = settings

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer it, or let Flask."""
        length = environ.get("CONTENT_LENGTH", "")
        if not (
            environ.get("kiln.whole")  # set by our worker; nobody else knows
            and environ["PATH_INFO"] == ROUTE
            and environ["REQUEST_METHOD"] == "POST"
            and not environ["QUERY_STRING"]
            and environ.get("CONTENT_TYPE", "").startswith("image/")
            and length.isdecimal()
            and 0 < int(length) <= self._settings.max_body_bytes
        ):
            return self._flask(environ, start_response)
        started = time.perf_counter()
        body = environ["wsgi.input"].read(int(length))
        try:
            identity = request_id.chosen(environ.get("HTTP_X_REQUEST_ID", ""))
            model = self._store.get(client=client(environ))
            content = answer(model, (decode(model, [body]),), min(DEFAULT_TOP, len(model.bundle.labels)), identity)
        except Exception:
            environ["wsgi.input"] = io.BytesIO(body)
            return self._flask(environ, start_response)
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(content))),
            (request_id.HEADER, identity),
        ]
        start_response("200 OK", headers)
        seconds = time.perf_counter() - started
        metrics.record(ROUTE, "POST", ROUTE, 200, seconds, access_log=self._settings.access_log)
        return (content,)
