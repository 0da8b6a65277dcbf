"""The log: one JSON object a line, whoever writes it; a line for each request when asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.servers import Server, exchange, wait_for

pytestmark = pytest.mark.server


ENGINES_OWN = "INFO: Created TensorFlow Lite"  # native code writes it; it knows no logger of ours


def lines(server: Server) -> list[dict[str, Any]]:
    """Every line that is whole, read as JSON."""
    found = server.log.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in found if line.endswith("\n") and not line.startswith(ENGINES_OWN)]


def of(server: Server, request_id: str) -> list[dict[str, Any]]:
    """The lines of one request."""
    return [line for line in lines(server) if line.get("request_id") == request_id]


def one(server: Server, request_id: str) -> dict[str, Any]:
    """The one line of a request."""
    [line] = wait_for(lambda: of(server, request_id), f"the line of {request_id}")
    return line


def pair(server: Server, request_id: str) -> list[dict[str, Any]]:
    """The two lines of a request; nothing before they are there."""
    return found if len(found := of(server, request_id)) == 2 else []


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, photo: bytes) -> Any:
    """A server that logs every request."""
    from tests import servers

    with servers.gunicorn(tmp_path_factory.mktemp("told"), workers=1, access_log=True) as server:
        yield server


@pytest.mark.parametrize(("query", "way"), [("?top=2", "express"), ("?a=%20", "Flask")])
def test_a_prediction_has_one_line_with_its_times(told: Server, photo: bytes, query: str, way: str) -> None:
    headers = {"Content-Type": "image/jpeg", "X-Request-ID": f"by-{way}"}
    assert requests.post(f"{told.url}/predict{query}", data=photo, headers=headers, timeout=10).status_code == 200
    line = one(told, f"by-{way}")
    assert line["message"] == "request"
    assert (line["method"], line["path"], line["status"]) == ("POST", "/predict", 200)
    assert (line["model"], line["version"], line["engine"], line["dialect"]) == ("catdog", "1", "litert", "kiln")
    assert 0 < line["decode_ms"] + line["infer_ms"] <= line["ms"]
    assert line["queue_ms"] >= 0
    assert line["instances"] == 1


def test_a_refused_picture_says_why(told: Server) -> None:
    headers = {"X-Request-ID": "bad", "Content-Type": "image/jpeg"}
    assert requests.post(f"{told.url}/predict?top=2", data=b"no", headers=headers, timeout=10).status_code == 400
    line = one(told, "bad")
    assert (line["status"], line["code"], line["model"]) == (400, "not_an_image", "catdog")
    assert line["path"] == "/predict"  # what a client puts into a query is its own
    assert "infer_ms" not in line


def test_a_request_that_is_refused_unread_has_its_line(told: Server, photo: bytes) -> None:
    headers = {"X-Request-ID": "late", "X-Deadline-Ms": "0"}
    assert requests.post(f"{told.url}/score?top=1", data=photo, headers=headers, timeout=10).status_code == 429
    line = one(told, "late")
    assert (line["method"], line["path"], line["status"], line["dialect"]) == ("POST", "/score", 429, "azure_ml")
    assert line["code"] == "deadline_exceeded"
    assert line["queue_ms"] >= 0


def test_what_is_no_http_has_its_lines(told: Server) -> None:
    answer = exchange(told.url, b"NO HTTP\r\n\r\n")
    assert answer is not None
    refusal, line = wait_for(lambda: pair(told, answer.headers["X-Request-ID"]), "both lines of it")
    assert refusal["message"].startswith("Refused request")
    assert (line["status"], line["code"]) == (400, "bad_request")


def test_a_health_check_has_no_times_of_work(told: Server) -> None:
    requests.get(f"{told.url}/ready", headers={"X-Request-ID": "health"}, timeout=10)
    line = one(told, "health")
    assert {"queue_ms", "decode_ms", "infer_ms", "model"}.isdisjoint(line)


def test_every_line_is_json_from_first_to_last(start_service: Callable[..., Server], photo: bytes) -> None:
    server = start_service(workers=1)
    requests.post(f"{server.url}/predict", data=photo, headers={"X-Request-ID": "quiet"}, timeout=10)
    server.process.terminate()
    assert server.process.wait(30) == 0
    found = lines(server)
    assert {"time", "level", "message", "process"} <= set.intersection(*map(set, found))
    messages = [line["message"] for line in found]
    assert any(message.startswith("Listening at: ") for message in messages)
    assert any("AVAILABLE" in message for message in messages)
    assert any("Shutting down" in message for message in messages)
    assert not of(server, "quiet")  # without KILN_ACCESS_LOG
