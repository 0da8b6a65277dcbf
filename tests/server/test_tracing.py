"""OpenTelemetry traces, sent to a collector that reads what it gets."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.servers import Server, wait_for

pytestmark = pytest.mark.server

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"


class Collector:
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        spans: queue.Queue[tuple[dict[str, Any], Any]] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    about = attributes(resource.resource)
                    for scope in resource.scope_spans:
                        for span in scope.spans:
                            spans.put((about, span))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._spans = spans
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def trace(self, request_id: str) -> tuple[dict[str, Any], Any, dict[str, Any]]:
        """(resource, the request's span, its children by name), once they are here; those of others are dropped."""
        children: dict[bytes, dict[str, Any]] = {}
        while True:
            about, span = self._spans.get(timeout=30)
            if attributes(span).get("kiln.request_id") == request_id:
                return about, span, children.get(span.span_id, {})
            children.setdefault(span.parent_span_id, {})[span.name] = span  # they end, and so are sent, before it

    def is_empty(self) -> bool:
        return self._spans.empty()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def attributes(of: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


def predict(server: Server, photo: bytes, request_id: str, parent: str = SAMPLED) -> None:
    headers = {"Content-Type": "image/jpeg", "X-Request-ID": request_id, "traceparent": parent}
    assert requests.post(f"{server.url}/predict", data=photo, headers=headers, timeout=10).status_code == 200


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the servers started from now on send to."""
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")  # milliseconds
    yield collector
    collector.close()


@pytest.mark.parametrize("query", ["?top=2", "?a=%20"], ids=["express", "Flask"])
def test_a_prediction_is_a_trace(
    collector: Collector, start_service: Callable[..., Server], photo: bytes, query: str
) -> None:
    base = start_service(workers=1, access_log=True)
    headers = {"Content-Type": "image/jpeg", "X-Request-ID": "one", "traceparent": SAMPLED}
    assert requests.post(f"{base.url}/predict{query}", data=photo, headers=headers, timeout=10).status_code == 200
    about, span, children = collector.trace("one")
    assert about["service.name"] == "kiln"
    assert (span.name, span.kind) == ("POST /predict", span.SPAN_KIND_SERVER)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    told = attributes(span)
    assert (told["http.request.method"], told["http.route"]) == ("POST", "/predict")
    assert told["http.response.status_code"] == 200
    assert (told["kiln.model"], told["kiln.version"], told["kiln.engine"]) == ("catdog", "1", "litert")
    assert list(children) == ["queue", "decode", "infer"]
    ordered = [span.start_time_unix_nano]
    for child in children.values():
        ordered += [child.start_time_unix_nano, child.end_time_unix_nano]
    assert sorted(ordered) == ordered
    assert ordered[-1] <= span.end_time_unix_nano
    line = next(line for line in base.log.read_text().splitlines() if '"one"' in line)
    assert json.loads(line)["trace_id"] == TRACE


def test_errors_show_and_a_made_up_parent_is_none(collector: Collector, start_service: Callable[..., Server]) -> None:
    base = start_service(workers=1)
    headers = {"X-Request-ID": "bad", "Content-Type": "image/jpeg", "traceparent": "made-up"}
    requests.post(f"{base.url}/predict", data=b"no", headers=headers, timeout=10)
    _, span, _ = collector.trace("bad")
    assert attributes(span)["error.type"] == "not_an_image"
    assert not span.parent_span_id
    assert span.status.code == span.status.STATUS_CODE_UNSET  # the client's fault, not ours


def test_what_is_not_sampled_is_not_sent_and_the_rest_is_when_a_worker_ends(
    collector: Collector, start_service: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, photo: bytes
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "pets")
    base = start_service(workers=1)
    predict(base, photo, "unseen", UNSAMPLED)
    predict(base, photo, "last")
    base.process.terminate()
    assert base.process.wait(30) == 0
    about, _, _ = collector.trace("last")  # it would drop "unseen", which came before
    assert about["service.name"] == "pets"
    assert collector.is_empty()


def test_a_collector_that_is_gone_holds_up_nothing(
    collector: Collector, start_service: Callable[..., Server], photo: bytes
) -> None:
    collector.close()
    base = start_service(workers=1)
    predict(base, photo, "lost")
    wait_for(lambda: "retrying" in base.log.read_text(), "the exporter to say that it fails")
    base.process.terminate()
    assert base.process.wait(30) == 0
    lines = base.log.read_text().splitlines()
    assert all(json.loads(line) for line in lines if "TensorFlow" not in line)
    assert "SIGKILL" not in base.log.read_text()
