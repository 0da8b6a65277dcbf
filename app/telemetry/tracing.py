"""OpenTelemetry traces, where its standard variables ask for them; without them its packages are never imported.

A trace is made of what the request's Timing says once it is answered, so that the work itself knows nothing of it: a
span of the request, and below it one for its time in the queue and for each step. Names and attributes are those of
OpenTelemetry's semantic conventions for HTTP servers; ours begin with `kiln.`.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from model import extras

from .. import release
from .logs import logger
from .timing import Timing

CLOSE_SECONDS = 2.0  # a collector that does not answer must not hold up a restart


def start() -> Tracer | None:
    """The tracer of this worker; it sends in a thread of its own, so it is made after the fork. Where the packages are
    missing there is none, and the log says what to do: the service works without."""
    if package := missing():
        logger.error("no traces: the package %r is missing. %s", package, extras.install("tracing"))
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    ours = Resource.create({"service.name": "kiln", "service.version": release.VERSION})
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before what we say.
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracer(provider)


def missing() -> str:
    """The package that traces need and this Python lacks; empty where it has all. Imports them."""
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace.export  # noqa: F401
    except ModuleNotFoundError as fault:
        return fault.name or str(fault)
    return ""


class Tracer:
    """Makes the spans of requests. provider: a TracerProvider of the SDK."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._trace = trace
        self._tracer = provider.get_tracer("kiln", release.VERSION)
        self._propagator = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Send what is left, if that can be done in CLOSE_SECONDS. Called when the process is about to end."""
        closing = threading.Thread(target=self._provider.shutdown, name="close-traces", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def emit(self, route: str, method: str, path: str, status: int, timing: Timing, ended: float) -> str:
        """Send the spans of an answered request; the trace's id in hex. ended: on the clock of Timing."""
        epoch = time.time_ns() - round(time.perf_counter() * 1e9)  # 0 on that clock

        def at(seconds: float) -> int:
            return epoch + round(seconds * 1e9)

        began = timing.began - (timing.queued or 0.0)
        span = self._tracer.start_span(
            f"{method} {route}",
            self._propagator.extract({"traceparent": timing.parent}),
            kind=self._trace.SpanKind.SERVER,
            attributes=_attributes(route, method, path, status, timing),
            start_time=at(began),
        )
        if span.is_recording():
            steps = {"queue": (began, timing.began)} if timing.queued is not None else {}
            below = self._trace.set_span_in_context(span)
            for name, (start, end) in (steps | timing.steps).items():
                self._tracer.start_span(name, below, start_time=at(start)).end(at(end))
        if status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(at(ended))
        return f"{span.get_span_context().trace_id:032x}"


def _attributes(route: str, method: str, path: str, status: int, timing: Timing) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
        "url.path": path,
        "kiln.request_id": timing.request_id,
        "kiln.dialect": timing.dialect,
    }
    if timing.code:
        attributes["error.type"] = timing.code
    if timing.model:
        attributes |= zip(("kiln.model", "kiln.version", "kiln.engine"), timing.model[:3], strict=True)
    if timing.instances:
        attributes["kiln.instances"] = timing.instances
    return attributes
