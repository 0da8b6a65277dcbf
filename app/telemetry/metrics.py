"""Every metric, declared once; right under several workers and across their restarts.

Under gunicorn each worker writes to files in PROMETHEUS_MULTIPROC_DIR and any worker adds them all up. The files
are named by the worker's slot (0, 1, ...), not by its process id: a restarted worker goes on counting in its
predecessor's files, so that counters never fall and files do not pile up. `deploy/gunicorn.conf.py` hands out
the slots.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from pathlib import Path
from typing import Any

import prometheus_client.values
from flask import Flask, Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from model.store import State, Version

from .. import release
from .logs import logger

SHARED = bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
if SHARED:
    _SLOT = os.environ.get("KILN_WORKER_SLOT") or str(os.getpid())  # workers import this after the fork
    prometheus_client.values.ValueClass = prometheus_client.values.MultiProcessValue(lambda: _SLOT)

REGISTRY = CollectorRegistry()
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

REQUESTS = Counter("kiln_requests", "Requests answered.", ["route", "method", "status"], registry=REGISTRY)
REQUEST_SECONDS = Histogram(
    "kiln_request_seconds",
    "Time from the first line of the request to the answer.",
    ["route"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
ERRORS = Counter("kiln_errors", "Requests refused or failed, by error code.", ["code"], registry=REGISTRY)
ANSWERS = Counter(
    "kiln_answers", "Requests answered by this version of a model.", ["model", "version"], registry=REGISTRY
)
IMAGES = Counter("kiln_images", "Pictures decoded.", registry=REGISTRY)
DECODE_SECONDS = Histogram(
    "kiln_decode_seconds", "Time to decode and resize the pictures of a request.", buckets=_SECONDS, registry=REGISTRY
)
INFER_SECONDS = Histogram(
    "kiln_infer_seconds", "Time in the engine for the instances of a request.", buckets=_SECONDS, registry=REGISTRY
)
READY = Gauge(
    "kiln_model_ready",
    "Workers in which this version is AVAILABLE.",
    ["model", "version"],
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
INFO = Gauge("kiln_info", "The release that runs.", ["version"], multiprocess_mode="max", registry=REGISTRY)


def install(app: Flask, *, access_log: bool) -> None:
    """Count and time every request; log each one when asked to."""
    INFO.labels(release.VERSION).set(1)

    @app.before_request
    def start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def finish(answer: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "unknown"
        seconds = time.perf_counter() - g.started
        record(route, request.method, request.path, answer.status_code, seconds, g.request_id, access_log=access_log)
        return answer


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


# Finding a metric by its labels costs as much as counting; there are few, since no label grows without bound.
_requests = functools.cache(REQUESTS.labels)
_errors = functools.cache(ERRORS.labels)
_answers = functools.cache(ANSWERS.labels)
_request_seconds = functools.cache(REQUEST_SECONDS.labels)


def record(
    route: str, method: str, path: str, status: int, seconds: float, request_id: str, *, access_log: bool
) -> None:
    """Count, time and, if asked to, log one answered request."""
    method = method if method in _METHODS else "other"
    _requests(route, method, str(status)).inc()
    _request_seconds(route).observe(seconds)
    if access_log:
        fields = {"method": method, "path": path, "status": status, "ms": round(seconds * 1000, 2)}
        logger.info("request", extra={"fields": {"request_id": request_id, **fields}})


def observe_decoding(seconds: float, images: int) -> None:
    """Record the time that the pictures of one request took to decode."""
    DECODE_SECONDS.observe(seconds)
    IMAGES.inc(images)


def count_unread(code: str, status: int) -> None:
    """Count one request that was refused before anything looked into it."""
    _errors(code).inc()
    _requests("unread", "other", str(status)).inc()


def observe_inference(seconds: float, model: str, version: str) -> None:
    """Record the time of one request in the engine. model, version: of one that is loaded, so that they are few."""
    INFER_SECONDS.observe(seconds)
    _answers(model, version).inc()


def count_error(code: str) -> None:
    """Count one refused or failed request."""
    _errors(code).inc()


def model_state(version: Version) -> None:
    """Record whether a version is AVAILABLE in this worker."""
    READY.labels(version.name, version.version).set(version.state is State.AVAILABLE)


class _WorkersFiles(multiprocess.MultiProcessCollector):
    """All workers' files but those that a starting worker has created this moment: reading an empty one fails."""

    def collect(self) -> Any:
        """Add them up."""
        files = []
        for file in Path(self._path).glob("*.db"):
            with contextlib.suppress(FileNotFoundError):  # a live gauge, gone with its worker
                if file.stat().st_size:
                    files.append(str(file))
        return self.merge(files)  # type: ignore[no-untyped-call]


def exposition() -> tuple[bytes, str]:
    """(body, content type) of /metrics: all workers together."""
    registry = REGISTRY
    if SHARED:
        registry = CollectorRegistry()
        _WorkersFiles(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
