"""The express way answers exactly as Flask does, and hands everything else over to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app import express

pytestmark = pytest.mark.http

PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()
WHOLE = {"environ_overrides": {"kiln.whole": True}}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The answers that the express way made."""
    answers: list[bytes] = []
    real = express.answer

    def noted(*arguments: Any) -> bytes:
        answers.append(real(*arguments))
        return answers[-1]

    monkeypatch.setattr(express, "answer", noted)
    return answers


def requests_counted(client: FlaskClient, status: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    wanted = {"route": "/predict", "method": "POST", "status": status}
    return sum(s.value for f in families for s in f.samples if s.name == "kiln_requests_total" and s.labels == wanted)


def test_the_answer_is_the_same_and_counted_once(client: FlaskClient, taken: list[bytes]) -> None:
    request = {"data": PHOTO, "content_type": "image/jpeg", "headers": {"X-Request-ID": "same"}}
    flask = client.post("/predict", **request)
    before = requests_counted(client, "200")
    fast = client.post("/predict", **request, **WHOLE)
    assert len(taken) == 1
    assert requests_counted(client, "200") == before + 1
    assert (fast.status_code, fast.data) == (flask.status_code, flask.data)
    assert sorted(fast.headers) == sorted(flask.headers)


@pytest.mark.parametrize("data", [b"text", PHOTO[:9000], b"\x89PNG\r\n\x1a\n"])
def test_a_picture_that_cannot_be_used_is_refused_in_the_one_form(client: FlaskClient, data: bytes) -> None:
    request = {"data": data, "content_type": "image/png", "headers": {"X-Request-ID": "same"}}
    flask = client.post("/predict", **request)
    before = requests_counted(client, "400")
    fast = client.post("/predict", **request, **WHOLE)
    assert fast.status_code == 400
    assert fast.data == flask.data
    assert requests_counted(client, "400") == before + 1


def test_an_insane_id_is_replaced(client: FlaskClient, taken: list[bytes]) -> None:
    headers = {"X-Request-ID": "a b"}
    answer = client.post("/predict", data=PHOTO, content_type="image/jpeg", headers=headers, **WHOLE)
    assert taken
    assert len(answer.headers["X-Request-ID"]) == 32
    assert answer.headers["X-Request-ID"] == answer.json["request_id"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"data": PHOTO, "content_type": "image/jpeg", "query_string": {"top": "1"}}, 200),
        ({"data": PHOTO, "content_type": "application/octet-stream"}, 200),
        ({"data": b"", "content_type": "image/jpeg"}, 400),
        ({"data": b"x" * 1_000_001, "content_type": "image/jpeg"}, 413),
        ({"data": PHOTO, "content_type": "image/jpeg", "method": "PUT"}, 405),
        ({"data": PHOTO, "content_type": "image/jpeg", "path": "/predict/"}, 404),
    ],
)
def test_all_else_is_flasks(client: FlaskClient, taken: list[bytes], request_: dict[str, Any], status: int) -> None:
    request_ = {"path": "/predict", "method": "POST", **request_}
    assert client.open(**request_, **WHOLE).status_code == status
    assert not taken
