"""An engine that fails, in every dialect: on what the client sent it is told so; on pictures the fault is ours."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from model.preprocess import Preprocessing

pytestmark = pytest.mark.http

JSON = "application/json"
LENGTH = {"Inference-Header-Content-Length": "0"}
NAMED = "X-Amzn-SageMaker-Custom-Attributes"


@pytest.fixture(scope="module")
def client(many_store: Path, tmp_path_factory: pytest.TempPathFactory, make_app: Callable[..., Flask]) -> FlaskClient:
    """Two models whose engines fail: `sequence` on an index of 11, `shades` on any photo; it is the default one."""
    from tests import bundles

    store = tmp_path_factory.mktemp("failing")
    (store / "sequence").symlink_to(many_store / "sequence")
    how = Preprocessing(height=16, width=16, range="0..255")
    bundles.make(store, "shades", "1", bundles.two_shades(), preprocessing=how)
    return make_app(store=store, model="shades", vertex_predict="/vertex").test_client()


def told(client: FlaskClient, path: str, body: Any, headers: dict[str, str], kind: str = JSON) -> tuple[int, str]:
    data = body if isinstance(body, bytes) else json.dumps(body)
    answer = client.post(path, data=data, content_type=kind, headers=headers)
    error = answer.json["error"]
    return answer.status_code, error if isinstance(error, str) else error["message"]


INDICES = {"instances": [[1, 11]]}
TENSOR = {"inputs": [{"name": "tokens", "datatype": "INT32", "shape": [1, 2], "data": [1, 11]}]}
SHADES = {"instances": [[[[255] * 3] * 16] * 16]}


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/predict?model=sequence", INDICES, {}),
        ("/v1/models/sequence:predict", INDICES, {}),
        ("/v1/models/shades:predict", SHADES, {}),
        ("/v2/models/sequence/infer", TENSOR, {}),
        ("/invocations", INDICES, {NAMED: "tfs-model-name=sequence"}),
        ("/vertex", SHADES, {}),
        ("/score?model=sequence", INDICES, {}),
        ("/invoke?model=sequence", INDICES, {}),
    ],
)
def test_on_values_that_the_client_sent(client: FlaskClient, path: str, body: Any, headers: dict[str, str]) -> None:
    status, message = told(client, path, body, headers)
    assert status == 400
    assert message.startswith("The engine failed on these values.")


def instances(photo: bytes) -> Any:
    return {"instances": [{"b64": base64.b64encode(photo).decode()}]}


def raw(photo: bytes) -> bytes:
    return photo


@pytest.mark.parametrize(
    ("path", "form", "headers", "kind"),
    [
        ("/predict", raw, {}, "image/jpeg"),
        ("/v1/models/shades:predict", instances, {}, JSON),
        ("/v2/models/shades/infer", raw, LENGTH, "application/octet-stream"),
        ("/invocations", raw, {}, "image/jpeg"),
        ("/invocations", instances, {}, JSON),
        ("/vertex", instances, {}, JSON),
        ("/score", raw, {}, "image/jpeg"),
        ("/invoke", instances, {}, JSON),
    ],
)
def test_on_pictures(
    client: FlaskClient, photo: bytes, path: str, form: Callable[[bytes], Any], headers: dict[str, str], kind: str
) -> None:
    status, message = told(client, path, form(photo), headers, kind)
    assert status == 500
    assert message.startswith("Something went wrong here.")
