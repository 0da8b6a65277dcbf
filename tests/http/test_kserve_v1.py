"""KServe's V1 protocol, alone and beside TensorFlow Serving on the paths that both have."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from app import create_app
from app.dialects import Answer
from app.settings import Settings
from tests import stores

pytestmark = [pytest.mark.http]

B64 = base64.b64encode((Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()).decode()
PICTURE = {"instances": [{"b64": B64}]}
ALONE = {"dialects": ("kserve_v1",)}
PATH = "/v1/models/catdog"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    stores.add(folder, "1", mark="cat")
    stores.corrupt(stores.add(folder, "1", name="broken"))
    return folder


@pytest.fixture(scope="module")
def made(store: Path) -> Callable[..., Flask]:
    """An application with settings of one's own, made once."""
    apps: dict[str, Flask] = {}

    def make(**settings: Any) -> Flask:
        key = repr(settings)
        if key not in apps:
            apps[key] = create_app(
                Settings(store=store, load_wait=60, max_images=2, max_body_bytes=200_000, **settings)
            )
        return apps[key]

    return make


@pytest.fixture(params=[ALONE, {"v1_status": "kserve"}], ids=["alone", "before TensorFlow Serving"])
def client(request: pytest.FixtureRequest, made: Callable[..., Flask]) -> FlaskClient:
    return made(**request.param).test_client()


def test_the_list(made: Callable[..., Flask]) -> None:
    for settings in (ALONE, {}, {"v1_status": "both"}, {"v1_status": "kserve"}):
        answer = made(**settings).test_client().get("/v1/models")
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json == {"models": ["broken", "catdog"]}
    answer = made(dialects=("tf_serving",)).test_client().get("/v1/models")
    assert (answer.status_code, answer.json) == (400, {"error": "Missing model name in request."})


def test_readiness(client: FlaskClient) -> None:
    for name, status, body in (
        ("catdog", 200, {"name": "catdog", "ready": True}),
        ("broken", 503, {"error": "Model with name broken is not ready."}),
        ("foo", 404, {"error": "Model with name foo does not exist."}),
    ):
        answer = client.get(f"/v1/models/{name}")
        assert (answer.status_code, answer.json) == (status, body)
        assert answer.headers["Content-Type"] == "application/json"


def test_predict(client: FlaskClient) -> None:
    answer = client.post(f"{PATH}:predict", json=PICTURE)
    assert answer.status_code == 200
    [[cat, dog]] = answer.json["predictions"]
    assert cat + dog == pytest.approx(1, abs=1e-3)
    packed = gzip.compress(json.dumps(PICTURE).encode())
    assert client.post(f"{PATH}:predict", data=packed, headers={"Content-Encoding": "gzip"}).json == answer.json


@pytest.mark.parametrize(
    ("name", "body", "status", "message"),
    [
        ("catdog", b"{", 400, "JSON Parse error"),
        ("catdog", b'{"instances": [1]}', 400, "a list belongs"),
        ("catdog", b'{"instances": [{"b64": "AAAA"}]}', 400, "not a picture"),
        ("catdog", json.dumps({"instances": [{"b64": B64}] * 3}).encode(), 400, "3 images were sent"),
        ("catdog", b" " * 200_001, 413, "larger than"),
        ("foo", b"{}", 404, "Model with name foo does not exist."),
        ("broken", b"{}", 503, "Model with name broken is not ready."),
    ],
)
def test_a_wrong_request(client: FlaskClient, name: str, body: bytes, status: int, message: str) -> None:
    answer = client.post(f"/v1/models/{name}:predict", data=body)
    assert answer.status_code == status
    assert list(answer.json) == ["error"]
    assert message in answer.json["error"]


def test_nothing_explains(client: FlaskClient) -> None:
    answer = client.post(f"{PATH}:explain", json=PICTURE)
    assert (answer.status_code, list(answer.json)) == (501, ["error"])


def test_what_is_not_there_has_its_form_of_error(made: Callable[..., Flask]) -> None:
    client = made(**ALONE).test_client()
    for method, path, status in (("GET", "/v1/models/a/b", 404), ("POST", PATH, 405), ("GET", f"{PATH}:explain", 404)):
        answer = client.open(path, method=method)
        assert (answer.status_code, list(answer.json)) == (status, ["error"]), path
    assert list(client.get("/v1/foo").json) == ["error", "request_id"]  # nobody's, so our own


def test_the_rest_of_the_paths_stay_tensorflow_servings(made: Callable[..., Flask]) -> None:
    client = made(v1_status="kserve").test_client()
    assert client.get(f"{PATH}/metadata").json["model_spec"]["name"] == "catdog"
    assert client.get(f"{PATH}/versions/1").json["model_version_status"][0]["state"] == "AVAILABLE"
    for method, path in (("POST", "/v1/models"), ("POST", PATH), ("PUT", PATH)):
        assert client.open(path, method=method).json["error"].startswith("Malformed request"), path


def test_both_in_one_body(made: Callable[..., Flask]) -> None:
    client = made(v1_status="both").test_client()
    body = client.get(PATH).json
    assert (body["name"], body["ready"], body["model_version_status"][0]["state"]) == ("catdog", True, "AVAILABLE")
    answer = client.get("/v1/models/broken")
    assert (answer.status_code, answer.json["ready"]) == (200, False)
    truthful = made(v1_status="both", status_codes="truthful").test_client().get("/v1/models/broken")
    assert (truthful.status_code, truthful.json) == (503, answer.json)


def test_where_one_is_off_the_other_has_its_form(made: Callable[..., Flask]) -> None:
    only = made(dialects=("tf_serving",), v1_status="kserve").test_client()
    assert list(only.get(PATH).json) == ["model_version_status"]
    assert made(dialects=("kserve_v1",)).test_client().get(PATH).json == {"name": "catdog", "ready": True}
    assert made(dialects=()).test_client().get(PATH).status_code == 404


@pytest.mark.parametrize("settings", [ALONE, {"v1_status": "kserve"}, {"v1_status": "both"}])
def test_alive(made: Callable[..., Flask], settings: dict[str, Any]) -> None:
    client = made(**settings).test_client()
    for accept in ("*/*", "application/json"):
        answer = client.get("/", headers={"Accept": accept})
        assert (answer.status_code, answer.json) == (200, {"status": "alive"})
    assert "<html" in client.get("/", headers={"Accept": "text/html,*/*"}).text


def test_the_page_is_everybodys_by_default(made: Callable[..., Flask]) -> None:
    assert "<html" in made().test_client().get("/", headers={"Accept": "*/*"}).text


@pytest.mark.parametrize("settings", [ALONE, {}, {"v1_status": "kserve"}, {"v1_status": "both"}])
def test_the_document_is_valid(made: Callable[..., Flask], settings: dict[str, Any]) -> None:
    document = made(**settings).test_client().get("/openapi.json").json
    validate(document)
    assert "/v1/models/{name}:predict" in document["paths"]
    assert ("/v1/models/{name}/metadata" in document["paths"]) == (settings != ALONE)


def test_the_express_way_is_the_same(made: Callable[..., Flask]) -> None:
    app = made(**ALONE)
    body = json.dumps(PICTURE).encode()
    found = app.extensions["kiln"]["express"](f"{PATH}:predict", "", {"x-request-id": "same"}, body)
    assert found == ("same", Answer(app.test_client().post(f"{PATH}:predict", data=body).data))
    assert app.extensions["kiln"]["express"](f"{PATH}/versions/1:predict", "", {}, body) is None
