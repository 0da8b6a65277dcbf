"""The small endpoints: health, version, metrics, the document, the page."""

from __future__ import annotations

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
