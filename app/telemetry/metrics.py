"""What counts where; right under several workers and across their restarts (declared.py)."""

from __future__ import annotations

import contextlib
import functools
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, Metric, generate_latest, multiprocess

from model.store import State, Version

from .. import release
from .declared import (
    ANSWER_SECONDS,
    BATCH_INSTANCES,
    DECODE_SECONDS,
    ERRORS,
    IMAGES,
    IN_FLIGHT,
    INFER_SECONDS,
    INFO,
    LOAD_SECONDS,
    MODEL_ERRORS,
    QUEUE_SECONDS,
    READY,
    REGISTRY,
    REQUEST_SECONDS,
    REQUESTS,
    SHARED,
    STATES,
    WAITING,
    WORKER_STARTS,
    WORKERS,
    WORKERS_CONFIGURED,
)
from .timing import Timing


class _OfModel(NamedTuple):
    """The metrics of one version."""

    seconds: Histogram
    decode: Histogram
    infer: Histogram


# Finding a metric by its labels costs as much as counting; there are few, since no label grows without bound.
_requests = functools.cache(REQUESTS.labels)
_errors = functools.cache(ERRORS.labels)
_request_seconds = functools.cache(REQUEST_SECONDS.labels)


@functools.cache
def _of_model(*labels: str) -> _OfModel:
    declared = (ANSWER_SECONDS, DECODE_SECONDS, INFER_SECONDS)
    return _OfModel(*(metric.labels(*labels) for metric in declared))


def started(workers: int) -> None:
    """Record that this worker runs, one of so many that should."""
    INFO.labels(release.VERSION).set(1)
    WORKERS.set(1)
    WORKERS_CONFIGURED.set(workers)
    WORKER_STARTS.inc()
    show()


def count(route: str, method: str, status: int, timing: Timing, seconds: float) -> None:
    """Count and time one answered request. route, method: of few values, whatever clients make up."""
    _requests(timing.dialect, route, method, str(status)).inc()
    _request_seconds(timing.dialect, route).observe(seconds)
    if timing.queued is not None:
        QUEUE_SECONDS.observe(timing.queued)
    if timing.images:
        IMAGES.inc(timing.images)
    if not timing.model:
        return
    of_model = _of_model(*timing.model)
    if timing.code:
        MODEL_ERRORS.labels(*timing.model, timing.code).inc()
    else:
        of_model.seconds.observe(seconds)
    for step, histogram in (("decode", of_model.decode), ("infer", of_model.infer)):
        if (took := timing.seconds(step)) is not None:
            histogram.observe(took)


def count_error(code: str) -> None:
    """Count one refused or failed request."""
    _errors(code).inc()


def count_unread(code: str, status: int, dialect: str) -> None:
    """Count one request that was refused before anything looked into it."""
    _errors(code).inc()
    _requests(dialect, "unread", "other", str(status)).inc()


def backlog(waiting: int, in_flight: int) -> None:
    """Record how many requests wait in this worker, and how many connections are with its threads."""
    WAITING.set(waiting)
    IN_FLIGHT.set(in_flight)


def rest() -> None:
    """A worker comes to rest, if only for a moment: let the others see what was counted, and forget what is due."""
    if _gone:
        _forget(time.monotonic())
    show()


def show() -> None:
    """Let the other workers see what was counted."""
    if SHARED:
        SHARED.flush()


@functools.cache
def _batch(model: str, version: str, engine: str) -> Histogram:
    return BATCH_INSTANCES.labels(model, version, engine)


def batch(model: str, version: str, engine: str, instances: int) -> None:
    """Record one call of an engine."""
    _batch(model, version, engine).observe(instances)


def load(model: str, version: str, seconds: float, outcome: str) -> None:
    """Record one try to load a version. outcome: "available" or "failed"."""
    LOAD_SECONDS.labels(model, version, outcome).observe(seconds)
    show()


def model_state(version: Version) -> None:
    """Record the state of a version in this worker."""
    READY.labels(version.name, version.version).set(version.state is State.AVAILABLE)
    for state in State:
        STATES.labels(version.name, version.version, state).set(version.state is state)
    if version.state is State.END and not version.failed:  # that one failed is for alerts to see
        _gone[version.name, version.version] = time.monotonic() + _KEPT_SECONDS
    else:
        _gone.pop((version.name, version.version), None)
    show()


# Counts of versions that have ended -> when they go: when Prometheus has scraped the last of them, which it does every
# 15 s with our configuration, and when the last requests that a version was still needed for are answered.
_gone: dict[tuple[str, str], float] = {}
_KEPT_SECONDS = 20.0
_OF_VERSION = (ANSWER_SECONDS, MODEL_ERRORS, DECODE_SECONDS, INFER_SECONDS, BATCH_INSTANCES, LOAD_SECONDS)


def _forget(now: float) -> None:
    due = [version for version, when in list(_gone.items()) if when <= now]
    for version in due:
        _gone.pop(version, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that the files keep it; ours do not
            for metric in _OF_VERSION:
                metric.remove_by_labels(dict(zip(("model", "version"), version, strict=True)))
        if SHARED:
            SHARED.forget(*version)
    if due:
        _of_model.cache_clear()
        _batch.cache_clear()


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
    return generate_latest(_of_all_workers()), CONTENT_TYPE_LATEST


def collected() -> Iterable[Metric]:
    """Every metric with its samples, all workers together."""
    return _of_all_workers().collect()


def _of_all_workers() -> CollectorRegistry:
    show()
    if not SHARED:
        return REGISTRY
    registry = CollectorRegistry()
    _WorkersFiles(registry)  # type: ignore[no-untyped-call]
    return registry
