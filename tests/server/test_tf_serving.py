"""TensorFlow Serving's REST API over real sockets: its own messages parse what it tells; bodies that lie get errors."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tests.servers import Server, exchange, post_head

pytestmark = pytest.mark.server

PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()
BODY = json.dumps({"instances": [{"b64": base64.b64encode(PHOTO).decode()}]}).encode()
CATDOG = "/v1/models/catdog"


def told(server: Server, path: str) -> str:
    answer = requests.get(server.url + path, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    return answer.text


def test_its_messages_parse_the_status(many_service: Server) -> None:
    """Strictly: a key that they do not know is an error."""
    from google.protobuf import json_format
    from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse, ModelVersionStatus

    parsed = json_format.Parse(told(many_service, "/v1/models/pets"), GetModelStatusResponse())
    assert [entry.version for entry in parsed.model_version_status] == [3, 2, 1]
    assert {entry.state for entry in parsed.model_version_status} == {ModelVersionStatus.State.AVAILABLE}
    assert {entry.status.error_code for entry in parsed.model_version_status} == {0}
    parsed = json_format.Parse(told(many_service, "/v1/models/broken"), GetModelStatusResponse())
    [entry] = parsed.model_version_status
    assert entry.state == ModelVersionStatus.State.END
    assert entry.status.error_code != 0
    assert "checksum" in entry.status.error_message


def test_its_messages_parse_the_metadata(many_service: Server) -> None:
    from google.protobuf import json_format
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap
    from tensorflow_serving.apis.model_pb2 import ModelSpec

    def parsed(name: str) -> Any:
        whole = json.loads(told(many_service, f"/v1/models/{name}/metadata"))
        spec = json_format.ParseDict(whole["model_spec"], ModelSpec())
        assert spec.name == name
        signatures = json_format.ParseDict(whole["metadata"]["signature_def"], SignatureDefMap())
        return signatures.signature_def["serving_default"]

    two = parsed("two")
    assert {name: tensor.dtype for name, tensor in two.inputs.items()} == {
        "a": types_pb2.DT_FLOAT,
        "b": types_pb2.DT_INT32,
    }
    assert [dim.size for dim in two.inputs["b"].tensor_shape.dim] == [-1, 2, 2]
    assert set(two.outputs) == {"p", "q"}
    for name, dtype in (
        ("uint8", types_pb2.DT_UINT8),
        ("int64", types_pb2.DT_INT64),
        ("uint64", types_pb2.DT_UINT64),
        ("float16", types_pb2.DT_HALF),
        ("float64", types_pb2.DT_DOUBLE),
        ("bool", types_pb2.DT_BOOL),
    ):
        assert next(iter(parsed(f"echo-{name}").inputs.values())).dtype == dtype
    assert parsed("pets").inputs["image"].dtype == types_pb2.DT_STRING


def test_a_picture_is_scored_as_by_predict(base: Server) -> None:
    [own] = requests.post(f"{base.url}/predict", data=PHOTO, timeout=10).json()["predictions"]
    answer = requests.post(f"{base.url}{CATDOG}:predict", data=BODY, timeout=10)
    assert answer.status_code == 200
    assert sorted(answer.json()["predictions"][0], reverse=True) == [
        pytest.approx(one["score"], abs=1e-5) for one in own["top"]
    ]
    results = {"examples": [{"image": {"b64": base64.b64encode(PHOTO).decode()}}]}
    [ranked] = requests.post(f"{base.url}{CATDOG}:classify", json=results, timeout=10).json()["results"]
    assert dict(ranked)[own["label"]] == pytest.approx(own["score"], abs=1e-5)


def test_short_and_long_way_give_the_same_answer(service: Server) -> None:
    short = requests.post(f"{service.url}{CATDOG}:predict", data=BODY, timeout=10)
    long = requests.post(f"{service.url}{CATDOG}/versions/1:predict", data=BODY, timeout=10)
    assert (short.status_code, short.content) == (long.status_code, long.content)
    assert list(short.headers) == list(long.headers)
    packed = requests.post(
        f"{service.url}{CATDOG}:predict", data=gzip.compress(BODY), headers={"Content-Encoding": "gzip"}, timeout=10
    )
    assert packed.content == short.content


def test_a_large_tensor_is_taken(base: Server) -> None:
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 128, 128, 3)).round(3)
    rows = requests.post(f"{base.url}{CATDOG}:predict", json={"instances": pixels.tolist()}, timeout=30)
    columns = requests.post(f"{base.url}{CATDOG}:predict", json={"inputs": pixels.tolist()}, timeout=30)
    assert rows.status_code == 200
    assert rows.json()["predictions"] == columns.json()["outputs"]
    assert len(rows.json()["predictions"]) == 2


def test_the_path_counts_as_it_was_sent(base: Server) -> None:
    def asked(path: str) -> tuple[int, str]:
        answer = exchange(base.url, f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        assert answer is not None
        return answer.status_code, answer.json()["error"]

    assert asked("/v1/models/a%2Fb") == (404, "Could not find any versions of model a/b")
    assert asked("/v1/models/a%3Ab/metadata") == (404, "Servable not found for request: Latest(a:b)")
    assert asked("/v1/models/a%2Fb?x=1") == (404, "Could not find any versions of model a/b")
    assert asked("/v1/models/a/b") == (400, "Malformed request: GET /v1/models/a/b")
    assert asked("/v1/foo") == (400, "Malformed request: GET /v1/foo")


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (["Content-Length: 400"], b'{"instances": [1]}', 400),  # ends early
        (["Content-Length: 99999999999"], b"{", 413),
        (["Content-Length: 4"], b'{"instances": [1]}', 400),  # ends late
        (["Content-Length: 20", "Content-Encoding: gzip"], gzip.compress(b" " * 99, mtime=0)[:20], 400),
        (["Transfer-Encoding: chunked"], b"2\r\n{}\r\n0\r\n\r\n", 400),
    ],
)
def test_bodies_that_lie(service: Server, head: list[str], body: bytes, status: int) -> None:
    before = service.workers()
    answer = exchange(service.url, post_head(f"{CATDOG}:predict", *head) + body, half_close=True)
    assert answer is not None
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert service.workers() == before


def test_a_bomb_is_not_unpacked(service: Server) -> None:
    bomb = gzip.compress(b" " * 200_000_000)
    answer = requests.post(
        f"{service.url}{CATDOG}:predict", data=bomb, headers={"Content-Encoding": "gzip"}, timeout=30
    )
    assert (answer.status_code, list(answer.json())) == (413, ["error"])


def test_keys_are_asked_for_in_its_form(start_service: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    service = start_service(api_keys=tmp_path / "keys", workers=1)
    answer = requests.post(f"{service.url}{CATDOG}:predict", data=BODY, timeout=10)
    assert (answer.status_code, list(answer.json())) == (401, ["error"])
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_requests_are_counted_by_dialect_and_route(service: Server) -> None:
    route = 'kiln_requests_total{dialect="tf_serving",method="POST",route="/v1/models/<name>:predict",status="200"}'
    before = service.metrics().get(route, 0)
    for path in (f"{CATDOG}:predict", f"{CATDOG}:predict?x=1"):  # the short way and the long one
        assert requests.post(service.url + path, data=BODY, timeout=10).status_code == 200
    assert service.metrics()[route] == before + 2
