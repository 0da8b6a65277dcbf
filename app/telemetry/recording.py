"""What is left of a request: its counts, its line in the log, its trace. All made here, once it is answered."""

from __future__ import annotations

import time
from typing import Any

from flask import Flask, Response, g, request

from . import metrics
from .logs import logger
from .timing import KILN, Timing
from .tracing import Tracer

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Recorder:
    """Records requests. access_log: log a line for each. tracer: where there is one, it gets each, too.

    busy: others wait behind the request that is worked on. Then the other workers need not see its counts yet; else
    they must before its answer is sent, so that whoever has all answers finds them counted.
    """

    def __init__(self, *, access_log: bool = False, tracer: Tracer | None = None) -> None:
        self.traces = tracer is not None
        self._access_log = access_log
        self._tracer = tracer
        self._backlog = (0, 0)
        self.busy = False

    def answered(self, route: str, method: str, path: str, status: int, timing: Timing) -> None:
        """One request that was worked on."""
        ended = time.perf_counter()
        method = method if method in _METHODS else "other"  # a client may make one up
        metrics.count(route, method, status, timing, ended - timing.began)
        if not self.busy:
            metrics.show()
        trace_id = self._tracer.emit(route, method, path, status, timing, ended) if self._tracer else ""
        if self._access_log:
            self._log(method, path, status, {**_fields(timing, ended), "trace_id": trace_id})

    def unread(
        self,
        code: str,
        status: int,
        request_id: str,
        dialect: str = KILN,
        method: str = "",
        path: str = "",
        queued: float | None = None,
    ) -> None:
        """One request that was refused before the app saw it. status: 499 where nobody was there any more to be
        answered. dialect: that of its path. method, path: empty where they are not known. queued: seconds that it
        waited."""
        metrics.count_unread(code, status, dialect)
        if not self.busy:
            metrics.show()
        if self._access_log:
            told = {"request_id": request_id, "code": code, "queue_ms": _milliseconds(queued), "dialect": dialect}
            self._log(method, path, status, told)

    def backlog(self, waiting: int, in_flight: int) -> None:
        """How busy this worker is. Called at every turn of its loop, so what has not changed costs nothing."""
        if (waiting, in_flight) != self._backlog:
            self._backlog = (waiting, in_flight)
            metrics.backlog(waiting, in_flight)
        metrics.rest()

    def close(self) -> None:
        """The process is about to end."""
        metrics.rest()
        if self._tracer:
            self._tracer.close()

    @staticmethod
    def _log(method: str, path: str, status: int, fields: dict[str, Any]) -> None:
        told = {"method": method, "path": path, "status": status, **fields}
        known = {name: value for name, value in told.items() if value not in ("", None)}
        logger.info("request", extra={"fields": known})


def _fields(timing: Timing, ended: float) -> dict[str, Any]:
    model, version, engine, _ = timing.model or ("", "", "", "")
    return {
        "request_id": timing.request_id,
        "code": timing.code,
        "ms": _milliseconds(ended - timing.began),
        "queue_ms": _milliseconds(timing.queued),
        "decode_ms": _milliseconds(timing.seconds("decode")),
        "infer_ms": _milliseconds(timing.seconds("infer")),
        "model": model,
        "version": version,
        "engine": engine,
        "dialect": timing.dialect,
        "instances": timing.instances or None,
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


def install(app: Flask, recorder: Recorder) -> None:
    """Record every request of Flask's. The request id must be there before (request_id.py)."""

    @app.before_request
    def start() -> None:
        parent = request.headers.get("traceparent", "") if recorder.traces else ""
        # The server tells how long the request stood in its queue; elsewhere there is none.
        g.timing = Timing(g.request_id, request.environ.get("kiln.queued"), parent, g.dialect.name)

    @app.after_request
    def finish(answer: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "unknown"
        recorder.answered(route, request.method, request.path, answer.status_code, g.timing)
        return answer
