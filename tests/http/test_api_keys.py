"""With API keys: who is let in, who is not, and what changes of the file do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import openapi_spec_validator
import pytest
from flask.testing import FlaskClient

from app import create_app
from app.keys import file
from app.settings import Settings, SettingsError, read
from app.telemetry.logs import logger

pytestmark = pytest.mark.http

PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.touch()
    return path


@pytest.fixture
def guarded(keys: Path) -> FlaskClient:
    return create_app(Settings(load_wait=60, api_keys=str(keys), workers=2)).test_client()


def status(client: FlaskClient, key: str = "", path: str = "/models") -> int:
    return client.get(path, headers={"Authorization": f"Bearer {key}"} if key else {}).status_code


def test_either_header_will_do(guarded: FlaskClient, keys: Path) -> None:
    key = file.add(keys, "phone")
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer  {key}"},
        {"X-API-Key": key},
        {"Authorization": "Basic eDp5", "X-API-Key": key},
        {"Authorization": "Bearer of-a-proxy", "X-API-Key": key},
        {"Authorization": f"Bearer {key}", "X-API-Key": "of another"},
    ):
        answer = guarded.post("/predict", data=PHOTO, content_type="image/jpeg", headers=headers)
        assert answer.status_code == 200, headers


@pytest.mark.parametrize(
    "path", ["/", "/predict", "/models", "/version", "/openapi.json", "/static/demo.js", "/nothing"]
)
def test_without_a_key_there_is_nothing_to_learn(guarded: FlaskClient, keys: Path, path: str) -> None:
    key = file.add(keys, "phone")
    digest = file.read(keys)[0].digest.hex()
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer ", "X-API-Key": ""},
        {"Authorization": f"Bearer {key}x"},
        {"Authorization": f"Basic {key}"},
        {"Authorization": key},
        {"X-API-Key": key[:-1]},
        {"X-API-Key": digest},
        {"X-API-Key": "phone"},
        {"X-API-Key": "é"},
    ):
        answer = guarded.open(path, method="POST" if path == "/predict" else "GET", headers=headers)
        assert answer.status_code == 401, headers
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="kiln"'
        assert answer.json["error"]["code"] == "unauthorized"
        assert answer.json["request_id"] == answer.headers["X-Request-ID"]


def test_who_watches_over_the_node_needs_none(guarded: FlaskClient) -> None:
    assert [guarded.get(path).status_code for path in ("/live", "/ready", "/metrics")] == [200] * 3


def test_the_express_way_looks_at_keys_and_rates_as_flask_does(guarded: FlaskClient, keys: Path) -> None:
    express = guarded.application.extensions["kiln"]["express"]
    key, slow = file.add(keys, "phone"), file.add(keys, "slow", rate=0.01)

    def passes(fields: dict[str, str]) -> bool:
        return express("/predict", "", {"content-type": "image/jpeg", **fields}, PHOTO) is not None

    assert passes({"authorization": f"Bearer {key}"})
    assert passes({"authorization": f"bearer  {key}"})
    assert passes({"x-api-key": key})
    assert passes({"authorization": "Basic eDp5", "x-api-key": key})
    assert passes({"x-api-key": slow})
    assert not passes({"x-api-key": slow})
    assert status(guarded, slow) == 429
    other = file.add(keys, "other", rate=0.01)
    for _ in range(3):  # what is left to Flask is counted there
        assert express("/predict", "", {"content-type": "text/plain", "x-api-key": other}, PHOTO) is None
    assert status(guarded, other) == 200
    assert status(guarded, other) == 429
    for fields in ({}, {"authorization": key}, {"authorization": f"Bearer {key}x"}, {"x-api-key": ""}):
        assert not passes(fields), fields
    file.remove(keys, "phone")
    assert not passes({"x-api-key": key})


def test_the_document_says_where_a_key_is_needed(guarded: FlaskClient, client: FlaskClient, keys: Path) -> None:
    document = guarded.get("/openapi.json", headers={"X-API-Key": file.add(keys, "phone")}).json
    openapi_spec_validator.validate(document)
    assert document["security"] == [{"bearer": []}, {"header": []}]
    assert document["paths"]["/live"]["get"]["security"] == []
    assert {"401", "429"} <= document["paths"]["/predict"]["post"]["responses"].keys()
    assert "security" not in client.get("/openapi.json").json


def test_each_path_refuses_in_the_form_that_the_document_says(guarded: FlaskClient, keys: Path) -> None:
    document = guarded.get("/openapi.json", headers={"X-API-Key": file.add(keys, "phone")}).json
    seen = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answer = guarded.open(path.replace("{", "").replace("}", ""), method=method)
            if operation.get("security") == []:
                assert answer.status_code != 401, path
                continue
            schema = operation["responses"]["401"]["content"]["application/json"]["schema"]
            assert answer.status_code == 401, path
            assert ("$ref" in schema) == isinstance(answer.json["error"], dict), path
            seen.add(path)
    assert {"/predict", "/score", "/invocations", "/v1/models/{name}:predict", "/v2/models/{name}/infer"} <= seen


def test_an_empty_file_lets_nobody_in(guarded: FlaskClient) -> None:
    assert status(guarded, "anything") == 401


def test_keys_come_overlap_and_go_while_it_serves(guarded: FlaskClient, keys: Path) -> None:
    old = file.add(keys, "phone-1")
    assert status(guarded, old) == 200
    new = file.add(keys, "phone-2")
    assert [status(guarded, old), status(guarded, new)] == [200, 200]
    file.remove(keys, "phone-1")
    assert [status(guarded, old), status(guarded, new)] == [401, 200]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.DEBUG, logger.name):
        yield caplog
    logger.removeHandler(caplog.handler)


def test_a_broken_file_changes_nothing(guarded: FlaskClient, keys: Path, said: pytest.LogCaptureFixture) -> None:
    key = file.add(keys, "phone")
    assert status(guarded, key) == 200
    whole = keys.read_text()
    keys.write_text(whole + "nonsense\n")
    assert status(guarded, key) == 200
    assert "API keys stay as they were" in said.text
    keys.unlink()
    assert status(guarded, key) == 200
    assert status(guarded, "other") == 401
    keys.write_text(whole)
    assert status(guarded, key) == 200


def test_no_key_is_ever_logged(guarded: FlaskClient, keys: Path, said: pytest.LogCaptureFixture) -> None:
    logger.setLevel("DEBUG")
    key = file.add(keys, "phone")
    status(guarded, key)
    status(guarded, "a-wrong-secret")
    keys.write_text("a-secret-on-its-own-line\n")
    status(guarded, key)
    assert "line 1" in said.text
    for secret in (key, "a-wrong-secret", "a-secret"):
        assert secret not in said.text


def test_a_key_has_its_rate(guarded: FlaskClient, keys: Path) -> None:
    slow, free = file.add(keys, "slow", rate=0.02), file.add(keys, "free")  # one in 50 s
    assert status(guarded, slow) == 200
    answer = guarded.get("/models", headers={"X-API-Key": slow})
    assert answer.status_code == 429
    assert answer.json["error"]["code"] == "too_many_requests"
    assert 40 <= int(answer.headers["Retry-After"]) <= 50
    assert [status(guarded, free) for _ in range(5)] == [200] * 5
    assert status(guarded, "wrong") == 401
    assert status(guarded, slow, "/live") == 200


def test_a_file_that_cannot_be_used_at_start_is_refused(keys: Path) -> None:
    with pytest.raises(SettingsError, match=r"KILN_API_KEYS=.* must be a file that can be read"):
        read({"KILN_API_KEYS": str(keys.with_name("nowhere"))})
    keys.write_text("nonsense\n")
    with pytest.raises(file.KeysError, match="line 1"):
        create_app(Settings(load_wait=60, api_keys=str(keys)))
