"""The express way answers exactly as Flask does, and leaves everything else to it."""

from __future__ import annotations

import base64
import json
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


def ask(express: Express, kind: str, body: bytes, request_id: str = "", query: str = "") -> tuple[str, Answer] | None:
    return express("/predict", query, {"content-type": kind, "x-request-id": request_id}, body)


def form(*parts: tuple[str, bytes]) -> bytes:
    """(header lines, content) of each part -> a body whose boundary is `b`."""
    lines = [b"--b\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + it for head, it in parts]
    return b"\r\n".join([*lines, b"--b--\r\n"])


FORM = "multipart/form-data; boundary=b"
FILE = 'name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg'
TEXT = {"instances": [{"b64": base64.b64encode(PHOTO).decode()}]}


def requests_counted(client: FlaskClient, status: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    wanted = {"dialect": "kiln", "route": "/predict", "method": "POST", "status": status}
    return sum(s.value for f in families for s in f.samples if s.name == "kiln_requests_total" and s.labels == wanted)


def test_the_answer_is_the_same_and_counted_once(client: FlaskClient, express: Express) -> None:
    flask = client.post("/predict", data=PHOTO, content_type="image/jpeg", headers={"X-Request-ID": "same"})
    before = requests_counted(client, "200")
    assert ask(express, "image/jpeg", PHOTO, "same") == ("same", Answer(flask.data))
    assert requests_counted(client, "200") == before + 1


FORMS = [
    ("image/jpeg", PHOTO),
    ("IMAGE/JPEG; a=b", PHOTO),
    ("application/octet-stream", PHOTO),
    ("", PHOTO),
    (FORM, form((FILE, PHOTO))),
    ('Multipart/Form-Data;boundary="b"', form((FILE, PHOTO), ('name="file"', PHOTO), ('name="note"', b"text"))),
    ("application/json", json.dumps(TEXT).encode()),
    ("application/json; charset=utf-8", b"\xef\xbb\xbf" + json.dumps({"instances": TEXT["instances"] * 2}).encode()),
]


@pytest.mark.parametrize("query", ["", "top=1", "model=catdog&top=2", "version=1&other=1", "model=catdog&version=1&"])
@pytest.mark.parametrize(("kind", "body"), FORMS)
def test_every_form_and_query_is_answered_as_flask_does(
    client: FlaskClient, express: Express, kind: str, body: bytes, query: str
) -> None:
    flask = client.post(f"/predict?{query}", data=body, content_type=kind, headers={"X-Request-ID": "same"})
    assert flask.status_code == 200, flask.text
    assert ask(express, kind, body, "same", query) == ("same", Answer(flask.data))


@pytest.mark.parametrize(("kind", "body"), FORMS)
def test_a_body_that_was_gathered_is_as_good(express: Express, kind: str, body: bytes) -> None:
    made = express("/predict", "", {"content-type": kind, "x-request-id": "same"}, bytearray(body))
    assert made == ask(express, kind, body, "same")
    assert made is not None


def test_tensors(many_app: Flask, many: FlaskClient) -> None:
    body = json.dumps({"instances": [[0.5] * 4, [1.0] * 4]}).encode()
    headers = {"X-Request-ID": "same"}
    flask = many.post("/predict?model=dense", data=body, content_type="application/json", headers=headers)
    assert flask.status_code == 200, flask.text
    express: Express = many_app.extensions["kiln"]["express"]
    fields = {"content-type": "application/json", "x-request-id": "same"}
    assert express("/predict", "model=dense", fields, body) == ("same", Answer(flask.data))
    assert express("/predict", "model=dense", {**fields, "content-type": "text/plain"}, body) is None
    assert express("/predict", "model=dense", fields, b'{"instances": [[1]]}') is None


def test_a_platforms_requests_are_flasks(express: Express) -> None:
    assert express("/predict", "", {"content-type": "image/jpeg", "x-fc-request-id": "1"}, PHOTO) is None


def test_an_insane_id_is_replaced(express: Express) -> None:
    made = ask(express, "image/jpeg", PHOTO, "a b")
    assert made is not None
    assert len(made[0]) == 32
    assert made[0].encode() in made[1].content


@pytest.mark.parametrize(
    ("kind", "body", "query"),
    [
        ("image/png", b"text", ""),
        ("image/jpeg", PHOTO[:9000], ""),
        ("image/png", b"\x89PNG\r\n\x1a\n", ""),
        ("text/plain", PHOTO, ""),
        ("image/jpeg", b"", ""),
        ("image/jpeg", b"x" * 1_000_001, ""),
        (FORM, form(('name="image"', b"text")), ""),
        (FORM, form((FILE, PHOTO))[:-6], ""),
        (FORM, form(*[(FILE, PHOTO)] * 5), ""),
        ("application/json", b'{"instances": []}', ""),
        ("image/jpeg", PHOTO, "top=0"),
        ("image/jpeg", PHOTO, "top=1&top=1"),
        ("image/jpeg", PHOTO, "model="),
        ("image/jpeg", PHOTO, "model=none"),
        ("image/jpeg", PHOTO, "version=9"),
        ("image/jpeg", PHOTO, "version=1&label=stable"),
    ],
)
def test_all_else_is_flasks_and_is_not_counted_here(
    client: FlaskClient, express: Express, kind: str, body: bytes, query: str
) -> None:
    before = client.get("/metrics").text.count("kiln_errors")
    assert ask(express, kind, body, query=query) is None
    assert client.get("/metrics").text.count("kiln_errors") == before
