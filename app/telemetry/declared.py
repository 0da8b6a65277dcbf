"""Every metric, declared once: name, meaning, labels. The dashboard and the alert rules may name no other.

Names follow Prometheus' rules: the prefix of the application, base units, `_total` for what only grows. No label grows
without bound: what a client makes up never becomes one.

Under gunicorn each worker writes to files in PROMETHEUS_MULTIPROC_DIR (values.py) and any worker adds them all up. The
files are named by the worker's slot (0, 1, ...), not by its process id: a restarted worker goes on counting in its
predecessor's files, so that counters never fall and files do not pile up. `deploy/gunicorn.conf.py` hands out
the slots. A gauge is "live": it goes when its worker does. What was counted for a version goes some time after it.
"""

from __future__ import annotations

import os
from pathlib import Path

import prometheus_client.values
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from .values import Values

# What all workers of a master share, in memory; none where there is no master.
FOLDER = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]) if os.environ.get("PROMETHEUS_MULTIPROC_DIR") else None
SHARED: Values | None = None
if FOLDER:
    # Workers import this after the fork.
    SHARED = Values(FOLDER, os.environ.get("KILN_WORKER_SLOT") or str(os.getpid()))
    prometheus_client.values.ValueClass = SHARED

REGISTRY = CollectorRegistry()
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_LOAD_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_INSTANCES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
_MODEL = ["model", "version", "engine", "dialect"]


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(name, meaning, labels, registry=REGISTRY)


def _histogram(name: str, meaning: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
    return Histogram(name, meaning, labels, buckets=buckets, registry=REGISTRY)


def _sum(name: str, meaning: str, *labels: str) -> Gauge:
    """A gauge that the workers' values add up to."""
    return Gauge(name, meaning, labels, multiprocess_mode="livesum", registry=REGISTRY)


def _common(name: str, meaning: str, *labels: str) -> Gauge:
    """A gauge that every worker has the same value of."""
    return Gauge(name, meaning, labels, multiprocess_mode="livemax", registry=REGISTRY)


# --- Requests -------------------------------------------------------------------------------------------------------

REQUESTS = _counter("kiln_requests", "Requests answered.", "dialect", "route", "method", "status")
REQUEST_SECONDS = _histogram(
    "kiln_request_seconds", "Time of a request in the application, its time in the queue left out.", "dialect", "route"
)
ERRORS = _counter("kiln_errors", "Requests refused, dropped or failed, by error code.", "code")
QUEUE_SECONDS = _histogram("kiln_queue_seconds", "Time that a request waited in a worker before work on it began.")
WAITING = _sum("kiln_requests_waiting", "Requests in the workers' queues.")
IN_FLIGHT = _sum("kiln_requests_in_flight", "Connections with the workers' threads: read from, computed or written to.")

# --- Models ---------------------------------------------------------------------------------------------------------

ANSWER_SECONDS = _histogram("kiln_answer_seconds", "Time of a request that this version answered.", *_MODEL)
MODEL_ERRORS = _counter("kiln_model_errors", "Requests for this version refused or failed, by code.", *_MODEL, "code")
IMAGES = _counter("kiln_images", "Pictures decoded.")
DECODE_SECONDS = _histogram("kiln_decode_seconds", "Time to decode and resize the pictures of a request.", *_MODEL)
INFER_SECONDS = _histogram(
    "kiln_infer_seconds", "Time of a request in the engine, and in wait for it where requests are gathered.", *_MODEL
)
BATCH_INSTANCES = _histogram(
    "kiln_batch_instances", "Instances in one call of the engine.", "model", "version", "engine", buckets=_INSTANCES
)
LOAD_SECONDS = _histogram(
    "kiln_model_load_seconds",
    "Time to check, load and prove a version.",
    "model",
    "version",
    "outcome",
    buckets=_LOAD_SECONDS,
)
READY = _sum("kiln_model_ready", "Workers in which this version is AVAILABLE.", "model", "version")
STATES = _sum("kiln_model_state", "Workers in which this version is in this state.", "model", "version", "state")

# --- Processes ------------------------------------------------------------------------------------------------------

WORKERS = _sum("kiln_workers", "Workers that run.")
WORKERS_CONFIGURED = _common("kiln_workers_configured", "Workers that should run.")
WORKER_STARTS = _counter("kiln_worker_starts", "Workers started.")
INFO = _common("kiln_info", "The release that runs.", "version")
