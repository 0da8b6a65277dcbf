"""The express way answers exactly as Flask does, and leaves everything else to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app.dialects import Answer
from app.express import Express

pytestmark = pytest.mark.http

PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()


@pytest.fixture(scope="module")
def express(app: Flask) -> Express:
    found: Express = app.extensions["kiln"]["express"]
    return found


def ask(express: Express, kind: str, body: bytes, request_id: str = "") -> tuple[str, Answer] | None:
    return express("/predict", {"content-type": kind, "x-request-id": request_id}, body)


def requests_counted(client: FlaskClient, status: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    wanted = {"dialect": "kiln", "route": "/predict", "method": "POST", "status": status}
    return sum(s.value for f in families for s in f.samples if s.name == "kiln_requests_total" and s.labels == wanted)


def test_the_answer_is_the_same_and_counted_once(client: FlaskClient, express: Express) -> None:
    flask = client.post("/predict", data=PHOTO, content_type="image/jpeg", headers={"X-Request-ID": "same"})
    before = requests_counted(client, "200")
    assert ask(express, "image/jpeg", PHOTO, "same") == ("same", Answer(flask.data))
    assert requests_counted(client, "200") == before + 1


def test_a_body_that_was_gathered_is_as_good(express: Express) -> None:
    made = express("/predict", {"content-type": "image/jpeg", "x-request-id": "same"}, bytearray(PHOTO))
    assert made == ask(express, "image/jpeg", PHOTO, "same")
    assert made is not None


def test_a_platforms_requests_are_flasks(express: Express) -> None:
    assert express("/predict", {"content-type": "image/jpeg", "x-fc-request-id": "1"}, PHOTO) is None


def test_an_insane_id_is_replaced(express: Express) -> None:
    made = ask(express, "image/jpeg", PHOTO, "a b")
    assert made is not None
    assert len(made[0]) == 32
    assert made[0].encode() in made[1].content


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("image/png", b"text"),
        ("image/jpeg", PHOTO[:9000]),
        ("image/png", b"\x89PNG\r\n\x1a\n"),
        ("application/octet-stream", PHOTO),
        ("image/jpeg", b""),
        ("image/jpeg", b"x" * 1_000_001),
    ],
)
def test_all_else_is_flasks_and_is_not_counted_here(
    client: FlaskClient, express: Express, kind: str, body: bytes
) -> None:
    before = client.get("/metrics").text.count("kiln_errors")
    assert ask(express, kind, body) is None
    assert client.get("/metrics").text.count("kiln_errors") == before
