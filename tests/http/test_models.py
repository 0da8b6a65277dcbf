"""Many models in one service: what it says that it holds, and which of them a request means."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.selection import client as client_of
from app.settings import Settings
from model import engines
from tests.servers import wait_for

# One group: making the models takes Keras, which one process of the test run should load.
pytestmark = [pytest.mark.http]

PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()


def ask(client: FlaskClient, query: str = "", **headers: str) -> Any:
    return client.post(f"/predict{query}", data=PHOTO, content_type="image/jpeg", headers=headers)


def test_the_list_has_every_model_with_its_versions(many: FlaskClient) -> None:
    models = {model["name"]: model for model in many.get("/models").json["models"]}
    assert {"pets", "dense", "two", "broken"} <= set(models)
    assert [name for name, model in models.items() if model["default"]] == ["pets"]
    assert models["pets"]["versions"] == [
        {"version": "3", "state": "AVAILABLE", "labels": ["canary"], "engine": "keras"},
        {"version": "2", "state": "AVAILABLE", "labels": ["stable"], "engine": "keras"},
        {"version": "1", "state": "AVAILABLE", "labels": [], "engine": "keras"},
    ]
    assert models["broken"]["versions"] == [{"version": "1", "state": "END", "labels": [], "engine": None}]


def test_one_model_says_all_that_a_client_needs(many: FlaskClient) -> None:
    pets = many.get("/models/pets").json
    assert (pets["name"], pets["default"]) == ("pets", True)
    assert pets["labels"] == {"stable": "2", "canary": "3"}
    assert pets["split"] == {"stable": 60, "canary": 40}
    assert pets["problem"] == ""
    first = pets["versions"][-1]
    assert first == {
        "version": "1",
        "state": "AVAILABLE",
        "reason": "",
        "labels": [],
        "engine": "keras",
        "inputs": [{"name": "image", "dtype": "float32", "shape": [None, 16, 16, 3]}],
        "outputs": [{"name": "scores", "dtype": "float32", "shape": [None, 2]}],
        "classes": ["cat", "dog"],
        "scores": "as_is",
        "preprocessing": first["preprocessing"],
        "built": {"photos": "number 1"},
        "candidates": [],
    }
    assert first["preprocessing"]["height"] == 16
    assert first["preprocessing"]["range"] == "-1..1"


def test_a_model_of_tensors_has_no_preprocessing(many: FlaskClient) -> None:
    [version] = many.get("/models/two").json["versions"]
    assert version["preprocessing"] is None
    assert version["classes"] == []
    assert version["inputs"] == [
        {"name": "a", "dtype": "float32", "shape": [None, 3]},
        {"name": "b", "dtype": "int32", "shape": [None, 2, 2]},
    ]
    assert [output["name"] for output in version["outputs"]] == ["p", "q"]


def test_a_version_that_failed_shows_why(many: FlaskClient) -> None:
    [version] = many.get("/models/broken").json["versions"]
    assert version["state"] == "END"
    assert "checksum differs" in version["reason"]
    assert "inputs" not in version
    answer = many.post("/predict?model=broken", json={"instances": [[1, 2, 3, 4]]})
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "model_not_ready")
    assert "checksum differs" in answer.json["error"]["message"]


def test_a_failed_model_beside_the_default_one_leaves_the_worker_ready(many: FlaskClient) -> None:
    answer = many.get("/ready")
    assert answer.status_code == 200
    assert "broken" not in {model["name"] for model in answer.json["models"]}


def test_a_model_that_loads_asks_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    release, load = threading.Event(), engines.load

    def slow(*arguments: Any) -> engines.Engine:
        assert release.wait(60)
        return load(*arguments)

    monkeypatch.setattr("model.engines.load", slow)
    client = create_app(Settings(load_wait=0)).test_client()

    def state() -> str:
        versions = client.get("/models/catdog").json.get("versions", [])
        return versions[0]["state"] if versions else ""

    try:
        wait_for(lambda: state() == "LOADING", "the model to load")
        answer = ask(client)
        assert (answer.status_code, answer.json["error"]["code"]) == (503, "model_not_ready")
        assert answer.headers["Retry-After"]
        assert client.get("/ready").status_code == 503
        for path in ("/live", "/", "/openapi.json", "/models"):
            assert client.get(path).status_code == 200
    finally:
        release.set()
    wait_for(lambda: state() == "AVAILABLE", "the model to be proven")
    assert ask(client).status_code == 200


def test_name_version_and_label_choose(many: FlaskClient) -> None:
    assert ask(many, "?version=1").json["model"] == {"name": "pets", "version": "1"}
    assert ask(many, "?model=pets&version=3").json["model"] == {"name": "pets", "version": "3"}
    assert ask(many, "?model=pets&label=stable").json["model"] == {"name": "pets", "version": "2"}
    assert ask(many, "?label=canary").json["model"] == {"name": "pets", "version": "3"}
    assert ask(many, "?model=features").json["model"] == {"name": "features", "version": "1"}
    scores = {ask(many, f"?version={number}").json["predictions"][0]["score"] for number in "123"}
    assert len(scores) == 3


@pytest.mark.parametrize(
    ("query", "code", "parts"),
    [
        ("?model=lion", "model_not_found", ["'lion'", "pets", "dense"]),
        ("?model=PETS", "model_not_found", ["'PETS'", "pets"]),
        ("?model=../pets", "model_not_found", ["pets"]),
        ("?version=4", "version_not_found", ["1", "2", "3", "stable", "canary"]),
        ("?version=stable", "version_not_found", ["stable"]),
        ("?model=pets&label=nightly", "version_not_found", ["'nightly'", "stable", "canary"]),
        ("?model=dense&label=stable", "version_not_found", ["dense", "1"]),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(many: FlaskClient, query: str, code: str, parts: list[str]) -> None:
    answer = ask(many, query)
    assert (answer.status_code, answer.json["error"]["code"]) == (404, code)
    for part in parts:
        assert part in answer.json["error"]["message"]


def test_an_unknown_model_has_no_page(many: FlaskClient) -> None:
    answer = many.get("/models/lion")
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "model_not_found")
    assert "pets" in answer.json["error"]["message"]


def test_every_problem_of_a_query_is_named_at_once(many: FlaskClient) -> None:
    answer = ask(many, "?model=&version=1&version=2&label=stable")
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_query")
    for part in ("model is empty", "version is given 2 times", "leave one out"):
        assert part in answer.json["error"]["message"]


def versions(client: FlaskClient, **headers: str) -> set[str]:
    return {ask(client, **headers).json["model"]["version"] for _ in range(3)}


def test_the_split_sticks_to_a_client_and_reaches_both_versions(many: FlaskClient) -> None:
    counted: Counter[str] = Counter()
    for number in range(60):
        [version] = versions(many, **{"X-Client-ID": f"client {number}"})
        counted[version] += 1
    assert set(counted) == {"2", "3"}
    assert counted["2"] > 20
    assert counted["3"] > 10


def test_whom_it_sticks_to() -> None:
    address = {"REMOTE_ADDR": "10.0.0.1"}
    assert client_of({}, 1) == ""
    assert client_of(address, 1) == "10.0.0.1"
    assert client_of(address | {"HTTP_X_FORWARDED_FOR": "1.2.3.4", "HTTP_X_CLIENT_ID": "me"}, 1) == "me"


@pytest.mark.parametrize(
    ("proxies", "whom"), [(0, "10.0.0.1"), (1, "5.6.7.8"), (2, "1.2.3.4"), (3, "made up"), (4, "made up")]
)
def test_a_proxy_is_believed_and_a_client_is_not(proxies: int, whom: str) -> None:
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "made up, 1.2.3.4, 5.6.7.8"}
    assert client_of(environ, proxies) == whom


def test_who_came_past_a_proxy_is_known_by_the_address_that_there_is() -> None:
    assert client_of({"REMOTE_ADDR": "", "HTTP_X_FORWARDED_FOR": "1.2.3.4"}, 2) == "1.2.3.4"
    assert client_of({"REMOTE_ADDR": "10.0.0.1"}, 2) == "10.0.0.1"


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ("", ""),
        ("model=pets", ""),
        ("version=1", "1"),
        ("model=pets&version=2", "2"),
        ("top=1", ""),
        ("label=none", ""),
    ],
)
def test_a_split_is_not_for_the_express_way_but_where_the_version_is_named(
    many_app: Flask, query: str, version: str
) -> None:
    made = many_app.extensions["kiln"]["express"]("/predict", query, {"content-type": "image/jpeg"}, PHOTO)
    assert (json.loads(made[1].content)["model"]["version"] if made else "") == version


def test_answers_are_counted_by_model_and_version(many: FlaskClient) -> None:
    ask(many, "?version=1")
    ask(many, "?model=lion")
    text = many.get("/metrics").text
    assert 'kiln_answer_seconds_count{dialect="kiln",engine="keras",model="pets",version="1"}' in text
    assert 'kiln_batch_instances_count{engine="keras",model="pets",version="1"}' in text  # it gathers
    assert "lion" not in text
