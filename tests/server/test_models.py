"""A service with many models over real sockets: which one answers, tensors, and what a client can do wrong."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import requests

from tests.servers import Server, assert_error

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture
def service(many_service: Server) -> Server:
    return many_service


def ask(service: Server, query: str, **request: Any) -> requests.Response:
    return requests.post(f"{service.url}/predict{query}", timeout=30, **request)


def test_each_model_answers(service: Server, photo: bytes) -> None:
    assert ask(service, "", data=photo, headers={"X-Client-ID": "x"}).json()["model"]["name"] == "pets"
    assert ask(service, "?model=pets&version=1", data=photo).json()["model"] == {"name": "pets", "version": "1"}
    assert ask(service, "?label=canary", data=photo).json()["model"] == {"name": "pets", "version": "3"}
    rows = {"instances": [[1, 2, 3, 4], [0.5, 0, 0, -1e-3]]}
    assert [len(row) for row in ask(service, "?model=dense", json=rows).json()["predictions"]] == [3, 3]
    assert ask(service, "?model=words", json={"instances": ["good bad"]}).json()["predictions"] == [["good", "bad", ""]]


def test_what_the_service_says_it_takes_is_taken(service: Server) -> None:
    for model in requests.get(f"{service.url}/models", timeout=10).json()["models"]:
        [version, *_] = requests.get(f"{service.url}/models/{model['name']}", timeout=10).json()["versions"]
        if version["state"] != "AVAILABLE" or version["preprocessing"]:
            continue
        instance = {tensor["name"]: zeros(tensor["dtype"], tensor["shape"][1:]) for tensor in version["inputs"]}
        answer = ask(service, f"?model={model['name']}", json={"instances": [instance] * 2})
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["predictions"]) == 2


def zeros(dtype: str, shape: list[int | None]) -> Any:
    value: Any = {"string": "text", "bool": False}.get(dtype, 0)
    for size in reversed(shape):
        value = [value] * (size or 3)
    return value


def test_a_client_keeps_its_version(service: Server, photo: bytes) -> None:
    found = set()
    for number in range(20):
        headers = {"X-Client-ID": f"client {number}", "Content-Type": "image/jpeg"}
        versions = {ask(service, "", data=photo, headers=headers).json()["model"]["version"] for _ in range(3)}
        assert len(versions) == 1
        found |= versions
    assert found == {"2", "3"}


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?model=lion", 404, "model_not_found"),
        ("?version=9", 404, "version_not_found"),
        ("?label=x", 404, "version_not_found"),
        ("?version=1&label=canary", 400, "bad_query"),
        ("?model=broken", 503, "model_not_ready"),
        ("?model=%00", 404, "model_not_found"),
        ("?model=%ff%fe", 404, "model_not_found"),
        ("?model=" + "x" * 3000, 404, "model_not_found"),
    ],
)
def test_what_is_not_there(service: Server, photo: bytes, query: str, status: int, code: str) -> None:
    answer = ask(service, query, data=photo)
    assert_error(answer, status, code)
    assert ("Retry-After" in answer.headers) == (status == 503)


BODIES: dict[str, bytes] = {
    "deep": b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep enough": b'{"instances": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    "deep objects": b'{"instances": ' + b'{"x": ' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "many empty lists": b'{"instances": [' + b"[]," * 1000 + b"[]]}",
    "long lists": b'{"instances": [[' + b"0," * 2_000_000 + b"0]]}",
    "a long number": b'{"instances": [[1, 2, 3, ' + b"9" * 100_000 + b"]]}",
    "a long text": b'{"instances": [[1, 2, 3, "' + b"x" * 1_000_000 + b'"]]}',
    "NaN": b'{"instances": [[1, 2, 3, NaN]]}',
    "cut off": b'{"instances": [[1, 2, 3,',
    "utf-16": '{"instances": [[1, 2, 3, 4]]}'.encode("utf-16"),
}


@pytest.mark.parametrize("model", ["dense", "two", "words", "pets"])
@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_refused(service: Server, model: str, name: str) -> None:
    before = service.workers()
    headers = {"Content-Type": "application/json"}
    error = assert_error(ask(service, f"?model={model}", data=BODIES[name], headers=headers), 400)
    assert len(error["message"]) < 5000
    assert service.workers() == before


def test_a_chunked_body_of_tensors_is_taken(service: Server) -> None:
    pieces = itertools.chain([b'{"instances": ['], itertools.repeat(b"[1, 2, 3, 4],", 500), [b"[1, 2, 3, 4]]}"])
    answer = ask(service, "?model=dense", data=pieces, headers={"Content-Type": "application/json"})
    assert len(answer.json()["predictions"]) == 501
