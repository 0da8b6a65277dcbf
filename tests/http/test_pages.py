"""The small endpoints: health, version, metrics, the document, the page."""

from __future__ import annotations

import html
import shutil
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app import create_app, release
from app.settings import Settings

pytestmark = pytest.mark.http


def test_live_ready_and_version(client: FlaskClient) -> None:
    assert client.get("/live").json == {"status": "live"}
    ready = client.get("/ready")
    assert ready.status_code == 200
    assert ready.json["models"] == [{"name": "catdog", "version": "1", "state": "AVAILABLE"}]
    version = client.get("/version").json
    assert version["kiln"] == release.VERSION
    assert version["build"] is None  # a checkout has no build stamp
    assert version["models"][0]["engine"] == "litert"


def test_not_ready_says_why_and_stays_live(tmp_path: Path) -> None:
    client = create_app(Settings(store=tmp_path, load_wait=60)).test_client()
    assert client.get("/live").status_code == 200
    ready = client.get("/ready")
    assert ready.status_code == 503
    assert "holds no versions" in ready.json["error"]["message"]
    predict = client.post("/predict", data=b"x", content_type="image/jpeg")
    assert (predict.status_code, predict.json["error"]["code"]) == (503, "model_not_ready")
    assert predict.headers["Retry-After"]
    assert client.get("/").status_code == 200


def test_metrics_are_prometheus_text_and_count(client: FlaskClient) -> None:
    def count() -> float:
        families = text_string_to_metric_families(client.get("/metrics").text)
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "kiln_requests_total" and sample.labels["route"] == "/live"
        )

    before = count()
    client.get("/live")
    client.get("/live")
    assert count() == before + 2


def test_unknown_methods_and_paths_do_not_grow_the_metrics(client: FlaskClient) -> None:
    for number in range(5):
        client.open(f"/unknown/{number}", method=f"VERB{number}")
    text = client.get("/metrics").text
    assert "VERB" not in text
    assert "/unknown" not in text


def test_the_page_uses_nothing_but_this_server(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.content_type.startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    expected = {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    assert expected.items() <= dict(page.headers).items()
    assert "camera=()" in page.headers["Permissions-Policy"]
    for outside in ("http://", "https://", 'href="/', 'src="/', 'action="/'):
        assert outside not in page.text.replace("http://www.w3.org/", ""), outside
    for name in ("demo.css", "demo.js", "favicon.svg"):
        assert f"static/{name}" in page.text
        with client.get(f"/static/{name}") as file:
            assert file.status_code == 200


def test_unknown_paths_and_methods(client: FlaskClient) -> None:
    assert client.get("/nothing").json["error"]["code"] == "not_found"
    for path, method, allowed in (("/predict", "GET", "POST"), ("/live", "DELETE", "GET"), ("/", "PUT", "GET")):
        answer = client.open(path, method=method)
        assert answer.status_code == 405
        assert allowed in answer.headers["Allow"]


def test_the_page_offers_every_model_and_asks_the_one_chosen(many: FlaskClient) -> None:
    page = many.get("/").text
    assert 'action="predict"' in page
    assert '<a href="?model=pets" aria-current="page">pets</a>' in page
    assert '<a href="?model=features">features</a>' in page
    assert "broken" not in page
    chosen = many.get("/?model=pets&version=3").text
    assert 'action="predict?model=pets&amp;version=3"' in chosen
    assert "version 3" in chosen


def test_one_model_alone_offers_no_choice(client: FlaskClient) -> None:
    assert "<nav" not in client.get("/").text


def test_a_model_without_photos_shows_how_to_ask_it(many: FlaskClient) -> None:
    page = many.get("/?model=two")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "takes tensors, not photos" in page.text
    assert "<form" not in page.text
    body = '{"instances":[{"a":[0.5,0.5,0.5],"b":[[0,0],[0,0]]}]}'
    assert body in html.unescape(page.text)
    assert many.post("/predict?model=two", data=body, content_type="application/json").status_code == 200
    assert "numbers of a photo" in many.get("/?model=embedding").text


def test_a_model_of_text_says_so(many: FlaskClient) -> None:
    page = html.unescape(many.get("/?model=words").text)
    assert "takes text, not photos" in page
    assert "tensors" not in page.replace("static/tensors.js", "")
    assert '{"instances":["text"]}' in page


def test_a_page_for_no_such_model(many: FlaskClient) -> None:
    assert many.get("/?model=lion").status_code == 404
    assert many.get("/?version=1&label=stable").status_code == 400


def test_the_page_prefers_a_model_that_names_photos(many_store: Path, tmp_path: Path) -> None:
    for name in ("dense", "features"):
        shutil.copytree(many_store / name, tmp_path / name)
    page = create_app(Settings(store=tmp_path, model="dense", load_wait=60)).test_client().get("/").text
    assert 'action="predict?model=features"' in page
