"""Vertex AI's, Azure ML's and Function Compute's contracts in this process."""

from __future__ import annotations

import base64
import functools
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from schemathesis.core.parameters import ParameterLocation

from app.keys import file
from app.openapi.document import document
from tests.cases import whole

pytestmark = pytest.mark.http

Make = Callable[..., Flask]

HEALTH, PREDICT = "/v1/endpoints/7/deployedModels/8", "/v1/endpoints/7/deployedModels/8:predict"
ID, SECRET = {"x-fc-request-id": "fc-1"}, {"x-fc-access-key-secret": "hush", "x-fc-security-token": "hush"}


@pytest.fixture(scope="module")
def hosted(many_store: Path, make_app: Make) -> Flask:
    return make_app(store=many_store, model="pets", max_images=2, vertex_health=HEALTH, vertex_predict=PREDICT)


@pytest.fixture
def client(hosted: Flask) -> FlaskClient:
    return hosted.test_client()


@pytest.fixture
def empty(tmp_path: Path, make_app: Make) -> FlaskClient:
    """A service that has no model yet."""
    return make_app(store=tmp_path, vertex_health=HEALTH, vertex_predict=PREDICT).test_client()


@pytest.fixture(scope="module")
def b64(photo: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(photo).decode()}


def dialects_counted(client: FlaskClient) -> str:
    return "\n".join(line for line in client.get("/metrics").text.splitlines() if "kiln_answer_seconds_count" in line)


# --- Vertex AI --------------------------------------------------------------------------------------------------------


def test_vertex_is_where_the_settings_say(client: FlaskClient, empty: FlaskClient, b64: Any) -> None:
    assert client.get(HEALTH).status_code == 200
    answer = client.post(PREDICT, json={"instances": [b64, b64], "parameters": {"confidence": 0.5}})
    assert list(answer.json) == ["predictions"]
    first, second = answer.json["predictions"]
    assert first == second
    assert len(first) == 2
    assert 'dialect="vertex"' in dialects_counted(client)
    unready = empty.get(HEALTH)
    assert (unready.status_code, list(unready.json)) == (503, ["error"])
    assert empty.post(PREDICT, json={"instances": [1]}).status_code == 503


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "The document is empty"),
        (b"[]", "Is not object"),
        (b"{}", "Missing"),
        (b'{"inputs": [1]}', "Missing 'instances' key"),
        (b'{"instances": []}', "No values"),
        (b'{"instances": [{"b64": "AA=="}]}', "picture"),
    ],
)
def test_vertex_says_what_is_wrong(client: FlaskClient, body: bytes, text: str) -> None:
    answer = client.post(PREDICT, data=body, content_type="application/json")
    assert answer.status_code in (400, 415)
    assert list(answer.json) == ["error"]
    assert text in answer.json["error"]


def test_without_its_variables_there_is_no_vertex(app: Flask) -> None:
    answer = app.test_client().post(PREDICT, json={"instances": [1]})
    assert answer.status_code == 400
    assert answer.json["error"].startswith("Malformed request")  # all of /v1/ is TensorFlow Serving's


@pytest.mark.parametrize("path", ["/predict", "/invocations", "/ready", "/"])
def test_vertex_goes_before_whoever_has_the_same_path(many_store: Path, b64: Any, path: str, make_app: Make) -> None:
    client = make_app(store=many_store, model="pets", vertex_health=path, vertex_predict=path).test_client()
    assert client.get(path).json == {}
    assert list(client.post(path, json={"instances": [b64]}).json) == ["predictions"]
    assert list(client.post(path, data=b"no").json) == ["error"]
    kiln = client.application.extensions["kiln"]
    found = document([kiln["store"].get()], kiln["settings"], kiln["dialects"])
    validate(found)
    assert found["paths"][path]["post"]["operationId"] == "vertex_predict"


# --- Azure ML ---------------------------------------------------------------------------------------------------------


def test_azure_ml_scores(client: FlaskClient, photo: bytes, b64: Any) -> None:
    ours = client.post("/predict", data=photo, content_type="image/jpeg").json
    for answer in (
        client.post("/score", json={"instances": [b64]}),
        client.post("/score", data=photo),
        client.post("/score?label=stable", data=photo, content_type="application/json"),
        client.post("/score", data=gzip.compress(photo), headers={"Content-Encoding": "gzip"}),
    ):
        assert answer.status_code == 200, answer.text
        assert len(answer.json["predictions"]) == 1
        assert set(answer.json) == set(ours)
    assert 'dialect="azure_ml"' in dialects_counted(client)
    tensors = client.post("/score?model=dense", json={"instances": [[1, 2, 3, 4]]})
    assert len(tensors.json["predictions"][0]) == 3
    for path in ("/score", "/invoke"):
        limited = client.post(f"{path}?model=iris&top=2", json={"instances": [[1, 2, 3, 4]]})
        assert len(limited.json["predictions"][0]["top"]) == 2
    columns = client.post("/score?model=dense", json={"inputs": {"x": [[1, 2, 3, 4]]}})
    assert columns.json["predictions"] == tensors.json["predictions"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/score", b"", 400, "empty_image"),
        ("/score", b"text", 400, "not_an_image"),
        ("/score", b"{", 400, "broken_json"),
        ("/score", b"[1]", 400, "broken_json"),
        ("/score?model=nobody", b"{}", 404, "model_not_found"),
        ("/score?model=broken", b"{}", 503, "model_not_ready"),
        ("/score?model=sequence", b'{"instances": [[11]]}', 400, "inference_failed"),
        ("/score?model=dense", b"\xff\xd8\xff", 400, "not_an_image"),
        ("/score?version=1&label=stable", b"{}", 400, "bad_query"),
        ("/score?model=iris&top=4", b'{"instances": [[1, 2, 3, 4]]}', 400, "bad_top"),
        ("/score?model=dense&top=1", b'{"instances": [[1, 2, 3, 4]]}', 400, "bad_top"),
        ("/invoke", b"", 400, "empty_image"),
        ("/invoke", b"[", 400, "broken_json"),
    ],
)
def test_scoring_says_what_is_wrong(client: FlaskClient, path: str, body: bytes, status: int, code: str) -> None:
    answer = client.post(path, data=body)
    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)


# --- Function Compute -------------------------------------------------------------------------------------------------


def test_an_event(client: FlaskClient, photo: bytes, b64: Any) -> None:
    for event in ({"json": {"instances": [b64]}}, {"data": photo, "content_type": "application/octet-stream"}):
        answer = client.post("/invoke", headers={**ID, "x-fc-control-path": "/invoke"}, **event)
        assert (answer.status_code, answer.headers["x-fc-status"]) == (200, "200")
        assert answer.json["request_id"] == answer.headers["X-Request-ID"] == "fc-1"
        assert {"label", "score", "top"} == set(answer.json["predictions"][0])
    assert 'dialect="function_compute"' in dialects_counted(client)


@pytest.mark.parametrize(
    ("path", "control", "status"), [("/invoke", "/invoke", "404"), ("/predict", "/http-invoke", "200")]
)
def test_what_counts_as_a_failed_function(client: FlaskClient, path: str, control: str, status: str) -> None:
    answer = client.post(path, data=b"no", content_type="image/png", headers={**ID, "x-fc-control-path": control})
    assert (answer.status_code, answer.headers["x-fc-status"]) == (400, status)


def test_what_is_passed_through_is_answered_at_its_path(client: FlaskClient, photo: bytes) -> None:
    headers = {**ID, **SECRET, "x-fc-control-path": "/http-invoke", "X-Request-ID": "the caller's"}
    answer = client.post("/predict?top=1", data=photo, content_type="image/jpeg", headers=headers)
    assert (answer.status_code, answer.headers["x-fc-status"]) == (200, "200")
    assert answer.headers["X-Request-ID"] == "fc-1"
    assert "x-fc-status" not in client.get("/live").headers


@pytest.mark.parametrize(("method", "path"), [("POST", "/initialize"), ("GET", "/pre-freeze"), ("GET", "/pre-stop")])
def test_the_hooks(client: FlaskClient, empty: FlaskClient, method: str, path: str) -> None:
    answer = client.open(path, method=method, headers=ID)
    assert (answer.status_code, answer.headers["x-fc-status"]) == (200, "200")
    unready = empty.open(path, method=method, headers=ID)
    expected = (503, "404") if path == "/initialize" else (200, "200")
    assert (unready.status_code, unready.headers["x-fc-status"]) == expected


@pytest.mark.parametrize("name", ["", "function_compute"])
def test_the_platforms_lines_are_written_there_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, make_app: Make
) -> None:
    client = make_app(store=tmp_path, platform=name).test_client()
    for method, path in (
        ("POST", "/initialize"),
        ("POST", "/invoke"),
        ("GET", "/live"),
        ("GET", "/pre-freeze"),
        ("GET", "/pre-stop"),
    ):
        client.open(path, method=method, headers=ID)
    client.get("/live")
    calls = ("Initialize", "Invoke", "Invoke", "PreFreeze", "PreStop")
    wanted = [f"FC {call} {what} RequestId: fc-1" for call in calls for what in ("Start", "End")]
    assert capsys.readouterr().out.splitlines() == (wanted if name else [])


# --- All of them ------------------------------------------------------------------------------------------------------


def test_health_needs_no_key_and_the_rest_does(tmp_path: Path, make_app: Make) -> None:
    keys = tmp_path / "keys"
    key = file.add(keys, "phone")
    client = make_app(api_keys=str(keys), vertex_health=HEALTH, vertex_predict=PREDICT).test_client()
    for path in ("/ping", HEALTH, "/pre-stop", "/pre-freeze", "/v2/health/live", "/v2/health/ready"):
        assert client.get(path).status_code == 200, path
    assert client.post("/initialize").status_code == 200
    for path in ("/invocations", PREDICT, "/score", "/invoke", "/v2/models/catdog/infer"):
        assert client.post(path, json={"instances": [1]}).status_code == 401, path
        told = client.post(path, json={"instances": [1]}, headers={"X-API-Key": key})
        assert told.status_code == 400, told.text
    kiln = client.application.extensions["kiln"]
    paths = document([kiln["store"].get()], kiln["settings"], kiln["dialects"])["paths"]
    assert paths["/ping"]["get"]["security"] == []
    assert "401" in paths["/score"]["post"]["responses"]


def test_each_can_be_switched_off(make_app: Make) -> None:
    client = make_app(dialects=("azure_ml",), vertex_health=HEALTH).test_client()
    assert client.post("/score", data=b"{}").status_code == 400
    for path in ("/ping", "/pre-stop", HEALTH):
        assert client.get(path).status_code == 404, path
    assert client.get("/live", headers=ID).headers["X-Request-ID"] != "fc-1"


@pytest.mark.slow
def test_the_document_has_them(hosted: Flask) -> None:
    kiln = hosted.extensions["kiln"]
    for name in kiln["store"].names():
        if name != "broken":
            found = document([kiln["store"].get(name)], kiln["settings"], kiln["dialects"])
            validate(found)
            assert {"/ping", "/invocations", HEALTH, PREDICT, "/score", "/invoke", "/initialize"} <= set(found["paths"])


@pytest.fixture(scope="module")
def default_of(many_store: Path, make_app: Make) -> Make:
    """Services with one model, which is their default one; Vertex AI's requests name none."""
    return functools.cache(lambda name: make_app(store=many_store, model=name, models=(name,), vertex_predict=PREDICT))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two", "words", "echo-uint8", "iris"])
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize("path", ["/invocations", PREDICT, "/score", "/invoke"])
def test_the_document_is_true(hosted: Flask, default_of: Make, path: str, mode: Any, name: str) -> None:
    kiln = hosted.extensions["kiln"]
    model = kiln["store"].get(name)
    found = document([model], kiln["settings"], kiln["dialects"])
    operation = schemathesis.openapi.from_dict(found)[path]["POST"]
    target = default_of(name) if path == PREDICT else hosted

    @hypothesis.settings(
        max_examples=10,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[hypothesis.HealthCheck.filter_too_much, hypothesis.HealthCheck.too_slow],
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case) -> None:
        hypothesis.assume(case.media_type == "application/json")
        if case.meta.components[ParameterLocation.BODY].mode is schemathesis.GenerationMode.POSITIVE:
            case.body = whole(case.body)
        if path in ("/score", "/invoke"):
            case.query = {"model": name} | {key: value for key, value in case.query.items() if key == "top"}
        case.headers["X-Amzn-SageMaker-Custom-Attributes"] = f"tfs-model-name={name}"
        answer = case.call_and_validate(app=target)
        assert answer.status_code == 200 or mode is schemathesis.GenerationMode.NEGATIVE, answer.text

    check()
