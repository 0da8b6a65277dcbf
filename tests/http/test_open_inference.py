"""The Open Inference Protocol V2, asked through Flask: what is answered, and each error in its form."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import schemathesis
import tritonclient.http as triton
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import strategies as st
from openapi_spec_validator import validate
from tritonclient.utils import np_to_triton_dtype, serialize_byte_tensor

from app import create_app
from app.openapi.document import document
from app.payloads.open_inference import inputs
from app.payloads.open_inference.request import read
from app.settings import Settings
from model import bundle as bundles
from model import engines
from tests import stores

# One group: making the models takes Keras, which one process of the test run should load.
pytestmark = [pytest.mark.http]

PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()
LENGTH = "Inference-Header-Content-Length"
ECHOES = {
    "uint8": [0, 255],
    "int64": [-(2**63), 2**63 - 1],
    "uint64": [0, 2**64 - 1],
    "float16": [65504, -0.5],
    "float64": [1e308, 0.1],
    "bool": [True, False],
}


def tensor(name: str, data: Any, datatype: str = "FP32", shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or list(np.shape(data)), "data": data}


def ask(client: FlaskClient, model: str, *inputs: dict[str, Any], **more: Any) -> Any:
    return client.post(f"/v2/models/{model}/infer", json={"inputs": list(inputs), **more})


def answered(answer: Any) -> dict[str, np.ndarray]:
    """The outputs by name, as the stock client reads them."""
    assert answer.status_code == 200, answer.text
    assert answer.content_type == ("application/octet-stream" if LENGTH in answer.headers else "application/json")
    result = triton.InferResult.from_response_body(answer.data, header_length=answer.headers.get(LENGTH))
    return {output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]}


def stock(client: FlaskClient, model: str, values: dict[str, np.ndarray], outputs: Any = None, **more: Any) -> Any:
    """What the stock client sends: binary data, and all outputs wanted so."""
    inputs = []
    for name, array in values.items():
        inputs.append(triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array)
    body, size = triton.InferenceServerClient.generate_request_body(inputs, outputs=outputs, **more)
    return client.post(f"/v2/models/{model}/infer", data=body, headers={} if size is None else {LENGTH: str(size)})


def binary(
    client: FlaskClient, head: dict[str, Any], tail: bytes, model: str = "dense", size: int | None = None
) -> Any:
    content = json.dumps(head).encode()
    length = len(content) if size is None else size
    return client.post(f"/v2/models/{model}/infer", data=content + tail, headers={LENGTH: str(length)})


def text(value: bytes | str) -> str:
    """The stock client hands out bytes from binary data, and text from JSON."""
    return value.decode() if isinstance(value, bytes) else value


def said(answer: Any, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/json"
    assert list(answer.json) == ["error"]
    assert answer.headers["X-Request-ID"]
    assert LENGTH not in answer.headers
    return answer.json["error"]


def keras(store: Path, model: str, *inputs: Any, version: str = "1") -> tuple[np.ndarray, ...]:
    """The engine's own answer, past all HTTP."""
    bundle = bundles.read(store / model / version)
    arrays = [np.array(values, tensor.dtype) for values, tensor in zip(inputs, bundle.inputs, strict=True)]
    return engines.load("keras", bundle.folder / "model.keras")(*arrays)


# --- Health and metadata --------------------------------------------------------------------------------------------


def test_health(client: FlaskClient) -> None:
    for route in ("live", "ready"):
        answer = client.get(f"/v2/health/{route}")
        assert (answer.status_code, answer.json) == (200, {"live": True, "ready": True})


def test_a_service_whose_model_is_missing_is_live_and_not_ready(tmp_path: Path) -> None:
    client = create_app(Settings(store=tmp_path, load_wait=10)).test_client()
    assert client.get("/v2/health/live").json == {"live": True, "ready": False}
    answer = client.get("/v2/health/ready")
    assert "catdog" in said(answer, 503)
    assert answer.headers["Retry-After"]
    assert "not ready" in said(client.get("/v2/models/catdog/ready"), 503)
    assert "not ready" in said(client.get("/v2/models/catdog"), 503)
    assert "not ready" in said(ask(client, "catdog", tensor("x", [1])), 503)


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_server(client: FlaskClient, path: str) -> None:
    found = client.get(path).json
    assert found["name"] == "kiln"
    assert {"binary_tensor_data", "classification", "model_repository", "statistics"} <= set(found["extensions"])


def test_metadata(many: FlaskClient) -> None:
    assert many.get("/v2/models/two").json == {
        "name": "two",
        "versions": ["1"],
        "platform": "keras_keras",
        "inputs": [
            {"name": "a", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "b", "datatype": "INT32", "shape": [-1, 2, 2]},
        ],
        "outputs": [
            {"name": "p", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "q", "datatype": "FP32", "shape": [-1]},
        ],
    }
    assert many.get("/v2/models/pets/versions/3").json["versions"] == ["3", "2", "1"]
    assert many.get("/v2/models/words").json["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert many.get("/v2/models/sequence").json["inputs"][0]["shape"] == [-1, -1]


def test_a_model_of_pictures_shows_both_of_its_forms(client: FlaskClient) -> None:
    [found] = client.get("/v2/models/catdog").json["inputs"]
    assert (found["name"], found["datatype"], found["shape"]) == ("image", "FP32", [-1, 128, 128, 3])
    assert found["parameters"]["pictures"] == "BYTES"
    assert all(isinstance(value, str) for value in found["parameters"].values())


def test_models(many: FlaskClient) -> None:
    assert {"pets", "dense"} <= set(many.get("/v2/models").json["models"])
    assert many.get("/v2/models/pets/ready").json == {"name": "pets", "ready": True}
    assert many.get("/v2/models/pets/versions/1/ready").status_code == 200


@pytest.mark.parametrize("rest", ["", "/ready", "/stats", "/infer"])
@pytest.mark.parametrize("model", ["lion", "pets/versions/99", "lion/versions/1"])
def test_what_is_not_there(many: FlaskClient, model: str, rest: str) -> None:
    path = f"/v2/models/{model}{rest}"
    answer = many.post(path, data=b"{") if rest == "/infer" else many.get(path)
    assert "Request for unknown model: '" in said(answer, 404)


def test_paths_and_methods_that_are_not_there(client: FlaskClient) -> None:
    said(client.get("/v2/models/catdog/explain"), 404)
    said(client.get("/v2/nothing"), 404)
    answer = client.get("/v2/models/catdog/infer")
    said(answer, 405)
    assert "POST" in answer.headers["Allow"]
    assert set(client.get("/v22").json) == {"error", "request_id"}  # not the dialect's


# --- Infer ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [[[1, 2, 3, 4], [5, 6, 7, 8]], [1, 2, 3, 4, 5, 6, 7, 8]], ids=["nested", "flat"])
def test_json(many: FlaskClient, many_store: Path, data: list[Any]) -> None:
    answer = ask(many, "dense", tensor("x", data, shape=[2, 4]), id="mine")
    assert {key: answer.json[key] for key in ("model_name", "model_version", "id")} == {
        "model_name": "dense",
        "model_version": "1",
        "id": "mine",
    }
    [output] = answer.json["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("y", "FP32", [2, 3])
    [expected] = keras(many_store, "dense", [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert output["data"] == pytest.approx(expected.ravel().tolist())


def test_null_is_as_good_as_absent(many: FlaskClient) -> None:
    """Types of several clients write every optional field."""
    given = {**tensor("x", [[1, 2, 3, 4]]), "parameters": None}
    whole = {"id": None, "parameters": None, "inputs": [given], "outputs": None}
    expected = ask(many, "dense", tensor("x", [[1, 2, 3, 4]])).json
    assert many.post("/v2/models/dense/infer", json=whole).json == expected
    parameters = {"binary_data": None, "classification": None, "content_type": None}
    wanted = {"name": "y", "parameters": parameters}
    given["parameters"] = {"binary_data_size": None, "content_type": None}
    whole |= {"inputs": [given], "outputs": [wanted], "parameters": {"binary_data_output": None}}
    assert many.post("/v2/models/dense/infer", json=whole).json == expected
    whole["outputs"] = [{"name": "y", "parameters": None}]
    assert many.post("/v2/models/dense/infer", json=whole).json == expected
    assert "'inputs'" in said(many.post("/v2/models/dense/infer", json={"inputs": 1}))


def test_without_an_id_there_is_none(many: FlaskClient) -> None:
    assert set(ask(many, "dense", tensor("x", [[1, 2, 3, 4]])).json) == {"model_name", "model_version", "outputs"}


def test_the_stock_client_sends_binary_data_and_gets_it(many: FlaskClient, many_store: Path) -> None:
    a = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    b = np.arange(8, dtype=np.int32).reshape(2, 2, 2)
    for values in ({"a": a, "b": b}, {"b": b, "a": a}):
        answer = stock(many, "two", values, request_id="7")
        assert LENGTH in answer.headers
        p, q = keras(many_store, "two", a, b)
        found = answered(answer)
        assert found["p"] == pytest.approx(p)
        assert found["q"] == pytest.approx(q)


def test_binary_and_json_inputs_and_outputs_mix(many: FlaskClient, many_store: Path) -> None:
    a, b = np.array([[1, 2, 3]], np.float32), [[[1, 2], [3, 4]]]
    head = {
        "inputs": [
            tensor("b", b, "INT32"),
            {"name": "a", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}},
        ],
        "outputs": [{"name": "q", "parameters": {"binary_data": True}}, {"name": "p"}],
    }
    found = answered(binary(many, head, a.tobytes(), "two"))
    assert list(found) == ["q", "p"]
    p, q = keras(many_store, "two", a, b)
    assert found["p"] == pytest.approx(p)
    assert found["q"] == pytest.approx(q)


def test_one_of_the_outputs(many: FlaskClient) -> None:
    inputs = [tensor("a", [[1, 2, 3]]), tensor("b", [[[1, 2], [3, 4]]], "INT32")]
    assert list(answered(ask(many, "two", *inputs, outputs=[{"name": "q"}]))) == ["q"]
    assert list(answered(ask(many, "two", *inputs, outputs=[]))) == ["p", "q"]


@pytest.mark.parametrize("dtype", ECHOES)
def test_the_limits_of_each_datatype_pass_unchanged(many: FlaskClient, dtype: str) -> None:
    values = np.array([ECHOES[dtype], ECHOES[dtype][::-1]], dtype)
    name = many.get(f"/v2/models/echo-{dtype}").json["inputs"][0]["name"]
    for answer in (
        stock(many, f"echo-{dtype}", {name: values}),
        *(
            [ask(many, f"echo-{dtype}", tensor(name, values.tolist(), np_to_triton_dtype(values.dtype)))]
            * (dtype != "float16")
        ),
    ):
        [found] = answered(answer).values()
        assert found.dtype == values.dtype
        assert np.array_equal(found, values)


def test_half_floats_are_binary_alone(many: FlaskClient) -> None:
    values = np.array([[1, 2]], np.float16)
    [name] = [entry["name"] for entry in many.get("/v2/models/echo-float16").json["inputs"]]
    [output] = [entry["name"] for entry in many.get("/v2/models/echo-float16").json["outputs"]]
    assert "receiving FP16 data via JSON is not supported" in said(
        ask(many, "echo-float16", tensor(name, [[1, 2]], "FP16"), parameters={"binary_data_output": True})
    )
    wanted = [triton.InferRequestedOutput(output, binary_data=False)]
    assert "sending FP16 data via JSON is not supported" in said(stock(many, "echo-float16", {name: values}, wanted))


def test_text(many: FlaskClient) -> None:
    texts = ["good bad", "große Ähre", ""]
    for answer in (
        ask(many, "words", tensor("text", texts, "BYTES")),
        stock(many, "words", {"text": np.array([each.encode() for each in texts], object)}),
    ):
        [found] = answered(answer).values()
        assert [[text(each) for each in row] for row in found] == [["good", "bad", ""], ["?", "?", ""], ["", "", ""]]


def test_numbers_that_json_does_not_have_are_binary_alone(many: FlaskClient) -> None:
    values = np.array([[0], [1000]], np.float32)
    found = answered(stock(many, "exponential", {"x": values}))
    assert np.isinf(found["power"][1, 0])
    assert np.isnan(found["rest"][1, 0])
    message = said(ask(many, "exponential", tensor("x", [[1000]])))
    assert "NaN or Infinity" in message
    assert "binary" in message
    assert ask(many, "exponential", tensor("x", [[1]])).status_code == 200


def test_nan_goes_in_as_binary_data(many: FlaskClient) -> None:
    [name] = [entry["name"] for entry in many.get("/v2/models/echo-float64").json["inputs"]]
    [found] = answered(stock(many, "echo-float64", {name: np.array([[np.nan, -np.inf]])})).values()
    assert np.isnan(found[0, 0])
    assert found[0, 1] == -np.inf


def test_versions_and_splits(many: FlaskClient) -> None:
    for version in ("1", "3"):
        answer = many.post(f"/v2/models/pets/versions/{version}/infer", data=PHOTO, headers={LENGTH: "0"})
        assert json.loads(answer.data[: int(answer.headers[LENGTH])])["model_version"] == version
    versions = {
        ask(many, "embedding", tensor("image", np.zeros((1, 16, 16, 3)).tolist())).json["model_version"],
        many.post(
            "/v2/models/pets/infer",
            json={"inputs": [tensor("image", np.zeros((1, 16, 16, 3)).tolist())]},
            headers={"X-Client-ID": "someone"},
        ).json["model_version"],
    }
    assert versions <= {"1", "2", "3"}


# --- Pictures -------------------------------------------------------------------------------------------------------


def test_every_form_of_a_picture_gets_the_same_scores(app: Flask, client: FlaskClient) -> None:
    made = app.extensions["kiln"]["store"].get().prepare([PHOTO])
    pictures = np.array([PHOTO, PHOTO], object)
    found = [
        answered(client.post("/v2/models/catdog/infer", data=PHOTO, headers={LENGTH: "0"})),
        answered(raw(client, "catdog", made.tobytes())),
        answered(stock(client, "catdog", {"image": made})),
        answered(stock(client, "catdog", {"image": pictures})),
        answered(stock(client, "catdog", {"image": pictures.reshape(2, 1)})),
        answered(ask(client, "catdog", tensor("image", [base64.b64encode(PHOTO).decode()], "BYTES"))),
        answered(ask(client, "catdog", tensor("image", [[base64.b64encode(PHOTO).decode()]], "BYTES"))),
    ]
    scores = [row for each in found for row in each["probabilities"]]
    assert len(scores) == 9
    assert all(np.allclose(row, scores[0], atol=1e-6) for row in scores)


@pytest.mark.parametrize("body", [b"text", PHOTO[:9000], b"\x89PNG\r\n\x1a\n", b""])
def test_what_is_no_picture(client: FlaskClient, body: bytes) -> None:
    assert said(client.post("/v2/models/catdog/infer", data=body, headers={LENGTH: "0"}))


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (tensor("image", ["%%%"], "BYTES"), "data[0] is not valid base64"),
        (tensor("image", [5], "BYTES"), "data[0] is a number where text belongs"),
        (tensor("image", ["AAAA"] * 5, "BYTES"), "batch-size must be <= 4"),
        (tensor("image", ["AAAA"], "BYTES", [1, 1, 1]), "Expected [-1], got [1,1,1]"),
        (tensor("image", ["AAAA"], "BYTES", [2]), "Shape does not match true shape of 'data'"),
        (tensor("picture", ["AAAA"], "BYTES"), "missing required inputs ['image']"),
    ],
)
def test_pictures_that_cannot_be(client: FlaskClient, given: dict[str, Any], part: str) -> None:
    assert part in said(ask(client, "catdog", given))


# --- Classification -------------------------------------------------------------------------------------------------


def test_classes(client: FlaskClient) -> None:
    for sent in (False, True):
        wanted = [triton.InferRequestedOutput("probabilities", binary_data=sent, class_count=5)]
        pictures = np.array([PHOTO, PHOTO], object)
        found = answered(stock(client, "catdog", {"image": pictures}, wanted))["probabilities"]
        assert found.shape == (2, 2)
        value, index, label = text(found[0, 0]).split(":", 2)
        assert (index, label) == ("0", "cat")
        assert len(value.partition(".")[2]) == 6
        assert float(value) > float(text(found[0, 1]).split(":")[0])


def test_classes_are_of_the_values_themselves(many: FlaskClient, many_store: Path) -> None:
    row = [1, -2, 3, 4]
    [logits] = keras(many_store, "iris", [row], version="7")
    answer = ask(many, "iris", tensor("x", [row]), outputs=[{"name": "y", "parameters": {"classification": 2}}])
    [output] = answer.json["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [1, 2])
    best = logits[0].argsort()[::-1][:2]
    assert [entry.split(":")[1:] for entry in output["data"]] == [[str(i), "abc"[i]] for i in best]
    assert [float(entry.split(":")[0]) for entry in output["data"]] == pytest.approx(logits[0][best].tolist(), abs=1e-5)


def test_classes_without_labels(many: FlaskClient) -> None:
    wanted = [{"name": "y", "parameters": {"classification": 1}}]
    [found] = ask(many, "dense", tensor("x", [[1, 2, 3, 4]]), outputs=wanted).json["outputs"][0]["data"]
    assert len(found.split(":")) == 2
    [name] = [entry["name"] for entry in many.get("/v2/models/echo-int64").json["inputs"]]
    [output] = [entry["name"] for entry in many.get("/v2/models/echo-int64").json["outputs"]]
    wanted = [{"name": output, "parameters": {"classification": 2}}]
    answer = ask(many, "echo-int64", tensor(name, [[5, 2**63 - 1]], "INT64"), outputs=wanted)
    assert answer.json["outputs"][0]["data"] == [f"{2**63 - 1}:1", "5:0"]


def test_of_equal_values_the_lowest_index_comes_first(many: FlaskClient) -> None:
    [name] = [entry["name"] for entry in many.get("/v2/models/echo-uint8").json["inputs"]]
    [output] = [entry["name"] for entry in many.get("/v2/models/echo-uint8").json["outputs"]]
    wanted = [{"name": output, "parameters": {"classification": 2}}]
    answer = ask(many, "echo-uint8", tensor(name, [[7, 7]], "UINT8"), outputs=wanted)
    assert answer.json["outputs"][0]["data"] == ["7:0", "7:1"]


def test_what_has_no_classes(many: FlaskClient) -> None:
    [output] = [entry["name"] for entry in many.get("/v2/models/words").json["outputs"]]
    wanted = [{"name": output, "parameters": {"classification": 1}}]
    assert "unsupported type 'BYTES'" in said(ask(many, "words", tensor("text", ["good"], "BYTES"), outputs=wanted))


# --- Raw ------------------------------------------------------------------------------------------------------------


def raw(client: FlaskClient, model: str, body: bytes) -> Any:
    return client.post(f"/v2/models/{model}/infer", data=body, headers={LENGTH: "0"})


def test_raw_tensors(many: FlaskClient, many_store: Path) -> None:
    values = np.array([[1, 2, 3, 4]], np.float32)
    assert answered(raw(many, "dense", values.tobytes()))["y"] == pytest.approx(keras(many_store, "dense", values)[0])
    tokens = np.array([[1, 2, 3, 4, 5, 6, 7]], np.int32)
    assert answered(raw(many, "sequence", tokens.tobytes()))["y"] == pytest.approx(
        keras(many_store, "sequence", tokens)[0]
    )
    [found] = answered(raw(many, "words", b"good bad")).values()
    assert found.tolist() == [[b"good", b"bad", b""]]


@pytest.mark.parametrize(
    ("model", "body", "part"),
    [
        ("two", b"x", "Raw request must only have 1 input (found 2)"),
        ("dense", bytes(15), "Expected 16, got 15"),
        ("dense", bytes(32), "Expected 16, got 32"),
        ("dense", b"", "Expected 16, got 0"),
        ("sequence", bytes(7), "Expected 4, got 7"),
    ],
)
def test_raw_bodies_that_cannot_be(many: FlaskClient, model: str, body: bytes, part: str) -> None:
    assert part in said(raw(many, model, body))


# --- What is wrong --------------------------------------------------------------------------------------------------

GOOD = tensor("x", [[1, 2, 3, 4]])
SIZED = {"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}

BAD: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "no inputs": (
        "dense",
        {},
        ["expected 1 inputs but got 0 inputs for model 'dense'", "missing required inputs ['x']"],
    ),
    "too few": ("two", {"inputs": [tensor("a", [[1, 2, 3]])]}, ["expected 2 inputs but got 1 inputs for model 'two'"]),
    "too many": ("dense", {"inputs": [GOOD, tensor("z", [1])]}, ["unexpected inference input 'z' for model 'dense'"]),
    "twice": ("dense", {"inputs": [GOOD, GOOD]}, ["input 'x' already exists in request"]),
    "datatype": (
        "dense",
        {"inputs": [tensor("x", [[1, 2, 3, 4]], "INT32")]},
        ["inference input 'x' data-type is 'INT32', but model 'dense' expects 'FP32'"],
    ),
    "no such datatype": ("dense", {"inputs": [tensor("x", [[1, 2, 3, 4]], "FLOAT")]}, ["data-type is 'FLOAT'"]),
    "shape": (
        "dense",
        {"inputs": [tensor("x", [[1, 2, 3, 4]], shape=[1, 5])]},
        ["unexpected shape for input 'x' for model 'dense'. Expected [-1,4], got [1,5]"],
    ),
    "rank": ("dense", {"inputs": [tensor("x", [1, 2, 3, 4])]}, ["Expected [-1,4], got [4]"]),
    "no shape": (
        "dense",
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [], "data": [1]}]},
        ["has no shape but model requires batch dimension"],
    ),
    "an empty batch": ("dense", {"inputs": [{**GOOD, "shape": [0, 4], "data": []}]}, ["no elements", "[0,4]"]),
    "an empty size": (
        "sequence",
        {"inputs": [{"name": "tokens", "datatype": "INT32", "shape": [1, 0], "data": []}]},
        ["no elements"],
    ),
    "too much": (
        "dense",
        {"inputs": [tensor("x", [[1, 2, 3, 4]] * 101)]},
        ["inference request batch-size must be <= 100 for 'dense'"],
    ),
    "batches that differ": (
        "two",
        {"inputs": [tensor("a", [[1, 2, 3]] * 2), tensor("b", [[[1, 2], [3, 4]]], "INT32")]},
        ["input 'b' batch size does not match other inputs"],
    ),
    "several at once": (
        "two",
        {"inputs": [tensor("a", [[1, 2]]), tensor("b", [[[1, 2], [3, 4]]])]},
        ["Expected [-1,3], got [1,2]", "input 'b' data-type is 'FP32'"],
    ),
    "too few values": (
        "dense",
        {"inputs": [{**GOOD, "data": [1, 2, 3]}]},
        ["Shape does not match true shape of 'data'"],
    ),
    "ragged": (
        "dense",
        {"inputs": [tensor("x", [[1, 2, 3]], shape=[1, 4])]},
        ["data[0] is a list of 3 where 4 belong"],
    ),
    "text": ("dense", {"inputs": [tensor("x", [[1, "2", 3, 4]])]}, ["input 'x': data[0][1] is text"]),
    "flat text": ("dense", {"inputs": [tensor("x", [1, "2", 3, 4], shape=[1, 4])]}, ["data[1] is text"]),
    "null": ("dense", {"inputs": [tensor("x", [1, None, 3, 4], shape=[1, 4])]}, ["data[1] is null"]),
    "over float32": ("dense", {"inputs": [tensor("x", [1e39, 2, 3, 4], shape=[1, 4])]}, ["data[0] is 1e+39"]),
    "a huge shape": (
        "sequence",
        {"inputs": [tensor("tokens", [1], "INT32", [1, 2**62])]},
        ["Shape does not match true shape of 'data'"],
    ),
    "no data": (
        "dense",
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4]}]},
        ["Input must set only one of the following fields", "no field was set"],
    ),
    "data twice": (
        "dense",
        {"inputs": [GOOD | {"parameters": {"binary_data_size": 0}}]},
        ["Input must set only one of the following fields", "both were set"],
    ),
    "data that is no list": ("dense", {"inputs": [{**GOOD, "data": 1}]}, ["'data' of input 'x' must be a list"]),
    "binary without data": (
        "dense",
        {"inputs": [SIZED]},
        ["unexpected size for input 'x', expecting 16 additional bytes"],
    ),
    "a negative size": (
        "dense",
        {"inputs": [SIZED | {"parameters": {"binary_data_size": -1}}]},
        ["'binary_data_size' of input 'x' must be a number of bytes"],
    ),
    "shared memory": (
        "dense",
        {"inputs": [SIZED | {"parameters": {"shared_memory_region": "r"}}]},
        ["shared memory, which is not taken"],
    ),
    "a negative shape": ("dense", {"inputs": [{**GOOD, "shape": [-1, 4]}]}, ["'shape' of input 'x' must be a list of"]),
    "no names": ("dense", {"inputs": [{}, 1]}, ["inputs[0] must be an object with a 'name'", "inputs[1] must be"]),
    "no list": ("dense", {"inputs": {"x": 1}}, ["'inputs' must be a list"]),
    "an id": ("dense", {"inputs": [GOOD], "id": 1}, ["'id' must be a string"]),
    "parameters": ("dense", {"inputs": [GOOD], "parameters": []}, ["'parameters' of the request must be an object"]),
    "reserved": ("dense", {"inputs": [GOOD], "parameters": {"triton_x": 1}}, ["parameter 'triton_x' is reserved"]),
    "a flag": (
        "dense",
        {"inputs": [GOOD], "parameters": {"binary_data_output": 1}},
        ["parameter 'binary_data_output' of the request must be true or false"],
    ),
    "an output": (
        "dense",
        {"inputs": [GOOD], "outputs": [{"name": "z"}]},
        ["unexpected inference output 'z' for model 'dense'"],
    ),
    "an output twice": (
        "dense",
        {"inputs": [GOOD], "outputs": [{"name": "y"}, {"name": "y"}]},
        ["output 'y' already exists in request"],
    ),
    "classes": (
        "dense",
        {"inputs": [GOOD], "outputs": [{"name": "y", "parameters": {"classification": -1}}]},
        ["'classification' of output 'y'"],
    ),
    "shared memory out": (
        "dense",
        {"inputs": [GOOD], "outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]},
        ["output 'y' is wanted in shared memory"],
    ),
}


def test_a_wrong_name_is_no_wrong_number(many: FlaskClient) -> None:
    message = said(many.post("/v2/models/dense/infer", json={"inputs": [tensor("z", [[1, 2, 3, 4]])]}))
    assert message.startswith("Got inputs ['z'], but missing required inputs ['x']")
    assert "unexpected inference input 'z' for model 'dense'" in message


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said(many: FlaskClient, name: str) -> None:
    model, body, parts = BAD[name]
    message = said(many.post(f"/v2/models/{model}/infer", json=body))
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "failed to parse the request JSON buffer"),
        (b"{", "failed to parse the request JSON buffer"),
        (b"[1]", "must be a JSON object"),
        (b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [NaN]}]}', "no NaN"),
        (b'{"inputs": ' + b"[" * 5000 + b"]" * 5000 + b"}", "failed to parse"),
        (b'{"inputs": [\xff]}', "failed to parse"),
    ],
)
def test_bodies_that_are_no_request(many: FlaskClient, body: bytes, part: str) -> None:
    assert part in said(many.post("/v2/models/dense/infer", data=body))


DATA = np.array([[1, 2, 3, 4]], np.float32).tobytes()


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("x", "Unable to parse Inference-Header-Content-Length"),
        ("-1", "Unable to parse"),
        ("1.5", "Unable to parse"),
        ("", "Unable to parse"),
        ("\u0661", "Unable to parse"),
        ("5, 5", "Unable to parse"),
        ("99999", "inference header size should be in range (0, "),
        ("9" * 30, "inference header size should be in range (0, "),
        ("5", "failed to parse the request JSON buffer"),
    ],
)
def test_lengths_of_json_that_lie(many: FlaskClient, header: str, part: str) -> None:
    body = json.dumps({"inputs": [SIZED]}).encode() + DATA
    headers = {LENGTH: header.encode().decode("latin-1")}
    assert part in said(many.post("/v2/models/dense/infer", data=body, headers=headers))


@pytest.mark.parametrize(
    ("size", "shape", "tail", "part"),
    [
        (16, [1, 4], DATA[:-1], "unexpected size for input 'x', expecting 1 additional bytes"),
        (16, [1, 4], DATA + b"x", "unexpected additional input data for model 'dense'"),
        (12, [1, 4], DATA[:12], "input byte size mismatch for input 'x' for model 'dense'. Expected 16, got 12"),
        (16, [2, 4], DATA, "Expected 32, got 16"),
        (0, [1, 4], b"", "Expected 16, got 0"),
        (2**70, [1, 4], DATA, "must be a number of bytes"),
        (2**40, [1, 4], DATA, "unexpected size for input 'x'"),
        (True, [1, 4], DATA, "must be a number of bytes"),
        ("16", [1, 4], DATA, "must be a number of bytes"),
        (16.5, [1, 4], DATA, "must be a number of bytes"),
        (16, [2**40, 4], DATA, "batch-size must be <= 100"),
    ],
)
def test_sizes_that_lie(many: FlaskClient, size: Any, shape: list[int], tail: bytes, part: str) -> None:
    given = {**SIZED, "shape": shape, "parameters": {"binary_data_size": size}}
    assert part in said(binary(many, {"inputs": [given]}, tail))


@pytest.mark.parametrize(
    ("count", "tail", "part"),
    [
        (1, b"\x01\0\0", "incomplete string length indicator for inference input 'text'"),
        (1, b"\x05\0\0\0good", "expecting string of length 5 but only 4 bytes available"),
        (1, b"\xff\xff\xff\xffgood", "expecting string of length 4294967295"),
        (2, b"\x04\0\0\0good", "expected 2 string elements for inference input 'text', got 1"),
        (1, b"\x04\0\0\0good" * 3, "expected 1 string elements for inference input 'text', got more"),
        (1, b"", "expected 1 string elements for inference input 'text', got 0"),
    ],
)
def test_strings_that_lie(many: FlaskClient, count: int, tail: bytes, part: str) -> None:
    given = {"name": "text", "datatype": "BYTES", "shape": [count], "parameters": {"binary_data_size": len(tail)}}
    assert part in said(binary(many, {"inputs": [given]}, tail, "words"))


def test_a_bool_is_zero_or_one(many: FlaskClient) -> None:
    [name] = [entry["name"] for entry in many.get("/v2/models/echo-bool").json["inputs"]]
    given = {"name": name, "datatype": "BOOL", "shape": [1, 2], "parameters": {"binary_data_size": 2}}
    assert "neither 0 nor 1" in said(binary(many, {"inputs": [given]}, b"\x01\x02", "echo-bool"))


def test_what_the_engine_fails_on(many: FlaskClient) -> None:
    assert "engine failed" in said(ask(many, "sequence", tensor("tokens", [[1, 999]], "INT32")), 400)


def test_too_large_a_body(client: FlaskClient) -> None:
    said(client.post("/v2/models/catdog/infer", data=bytes(1_000_001), headers={LENGTH: "0"}), 413)


# --- Compression ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies(many: FlaskClient, encoding: str, pack: Any) -> None:
    head = json.dumps({"inputs": [SIZED]}).encode()
    headers = {LENGTH: str(len(head)), "Content-Encoding": encoding, "Accept-Encoding": encoding}
    answer = many.post("/v2/models/dense/infer", data=pack(head + DATA), headers=headers)
    assert answered(answer)["y"].shape == (1, 3)


def test_compressed_bodies_that_cannot_be(client: FlaskClient) -> None:
    def send(body: bytes, encoding: str) -> Any:
        return client.post("/v2/models/catdog/infer", data=body, headers={"Content-Encoding": encoding})

    said(send(b"text", "gzip"), 400)
    said(send(gzip.compress(b"{}")[:-1], "gzip"), 400)
    said(send(gzip.compress(bytes(2_000_000)), "gzip"), 413)
    answer = send(b"{}", "br")
    said(answer, 501)
    assert answer.headers["Accept-Encoding"] == "gzip, deflate"


# --- Repository and statistics --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["index", "models/dense/load", "models/dense/unload"])
def test_what_is_sent_to_the_repository_may_be_compressed(many: FlaskClient, path: str) -> None:
    plain = many.post(f"/v2/repository/{path}", json={"ready": True})
    for encoding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        packed = many.post(
            f"/v2/repository/{path}", data=pack(b'{"ready": true}'), headers={"Content-Encoding": encoding}
        )
        assert (packed.status_code, packed.json) == (plain.status_code, plain.json)
    refused = many.post(f"/v2/repository/{path}", data=b"{}", headers={"Content-Encoding": "br"})
    assert (refused.status_code, refused.headers["Accept-Encoding"]) == (501, "gzip, deflate")


def test_the_index(many: FlaskClient) -> None:
    whole = many.post("/v2/repository/index").json
    states = {(entry["name"], entry["version"]): entry["state"] for entry in whole}
    assert states["pets", "3"] == "READY"
    assert states["broken", "1"] == "UNAVAILABLE"
    assert next(entry["reason"] for entry in whole if entry["name"] == "broken")
    ready = many.post("/v2/repository/index", json={"ready": True}).json
    assert ready == [entry for entry in whole if entry["state"] == "READY"]
    for body in (b"[]", b"{", b'{"ready": 1}'):
        said(many.post("/v2/repository/index", data=body))


@pytest.mark.parametrize("call", ["load", "unload"])
def test_control_is_off_unless_it_is_switched_on(many: FlaskClient, call: str) -> None:
    message = said(many.post(f"/v2/repository/models/dense/{call}", json={}), 403)
    assert "explicit model load / unload is not allowed" in message
    assert "KILN_REPOSITORY_CONTROL" in message


def test_a_model_without_versions_cannot_be_loaded(tmp_path: Path) -> None:
    client = create_app(Settings(store=tmp_path, load_wait=10, repository_control=True)).test_client()
    for call in ("load", "unload"):
        assert "'catdog' is not found" in said(client.post(f"/v2/repository/models/catdog/{call}"), 404)
        said(client.post(f"/v2/repository/models/catdog/{call}", data=b"[]"), 400)


def test_a_broken_declaration_is_told(tmp_path: Path) -> None:
    stores.add(tmp_path, "1")
    client = create_app(Settings(store=tmp_path, load_wait=60, repository_control=True)).test_client()
    (tmp_path / "catdog" / "serving.json").write_text("{")
    assert "serving.json cannot be read" in said(client.post("/v2/repository/models/catdog/unload"))


def test_statistics(many: FlaskClient) -> None:
    def stats(path: str = "/v2/models/two/stats") -> Any:
        [found] = [each for each in many.get(path).json["model_stats"] if each["name"] == "two"]
        return found

    before = stats()
    inputs = [tensor("a", [[1, 2, 3]] * 5), tensor("b", [[[1, 2], [3, 4]]] * 5, "INT32")]
    assert ask(many, "two", *inputs).status_code == 200
    said(ask(many, "two"))
    for path in ("/v2/models/two/stats", "/v2/models/two/versions/1/stats", "/v2/models/stats"):
        after = stats(path)
        assert after["version"] == "1"
        assert after["inference_count"] == before["inference_count"] + 5
        assert after["execution_count"] == before["execution_count"] + 1
        for step, more in (("success", 1), ("compute_infer", 1), ("fail", 1), ("queue", 0)):
            assert after["inference_stats"][step]["count"] == before["inference_stats"][step]["count"] + more
        assert after["inference_stats"]["success"]["ns"] > after["inference_stats"]["compute_infer"]["ns"] > 0


def test_the_metrics_have_the_dialect(many: FlaskClient) -> None:
    assert ask(many, "dense", GOOD).status_code == 200
    text = many.get("/metrics").text
    assert 'kiln_answer_seconds_count{dialect="open_inference",engine="keras",model="dense",version="1"}' in text
    assert 'route="/v2/models/<name>/infer",status="200"' in text


# --- The express way ------------------------------------------------------------------------------------------------


def bodies() -> list[tuple[str, dict[str, str], bytes]]:
    head = json.dumps({"inputs": [SIZED], "id": "a"}).encode()
    plain = json.dumps({"inputs": [GOOD]}).encode()
    return [
        ("/v2/models/dense/infer", {LENGTH: str(len(head))}, head + DATA),
        ("/v2/models/dense/versions/1/infer", {LENGTH: str(len(head))}, head + DATA),
        ("/v2/models/dense/infer", {}, plain),
        ("/v2/models/dense/infer", {LENGTH: "0"}, DATA),
        ("/v2/models/pets/versions/2/infer", {LENGTH: "0"}, PHOTO),
    ]


@pytest.mark.parametrize("number", range(5))
def test_the_express_way_answers_as_flask_does(many_app: Flask, many: FlaskClient, number: int) -> None:
    path, headers, body = bodies()[number]
    flask = many.post(path, data=body, headers=headers)
    assert flask.status_code == 200, flask.text
    made = many_app.extensions["kiln"]["express"](
        path, "", {key.lower(): value for key, value in headers.items()}, body
    )
    assert made is not None
    answer = made[1]
    assert (answer.content, answer.kind) == (flask.data, flask.content_type)
    assert dict(answer.headers) == ({LENGTH: flask.headers[LENGTH]} if LENGTH in flask.headers else {})


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/v2/models/lion/infer", {}, b"{}"),
        ("/v2/models/pets/infer", {LENGTH.lower(): "0"}, PHOTO),  # a split
        ("/v2/models/dense/infer", {LENGTH.lower(): "x"}, DATA),
        ("/v2/models/dense/infer", {LENGTH.lower(): ""}, DATA),
        ("/v2/models/dense/infer", {}, b"{}"),
        ("/v2/models/dense/versions/9/infer", {LENGTH.lower(): "0"}, DATA),
        ("/v2/repository/index", {}, b"{}"),
        ("/v2/models/dense", {}, b"{}"),
    ],
)
def test_all_else_is_flasks(many_app: Flask, path: str, headers: dict[str, str], body: bytes) -> None:
    assert many_app.extensions["kiln"]["express"](path, "", headers, body) is None


def test_a_query_is_flasks(many_app: Flask) -> None:
    path, headers, body = bodies()[0]
    fields = {key.lower(): value for key, value in headers.items()}
    assert many_app.extensions["kiln"]["express"](path, "a=b", fields, body) is None


def test_binary_numbers_are_not_copied(many_app: Flask) -> None:
    kiln = many_app.extensions["kiln"]
    head = json.dumps({"inputs": [SIZED]}).encode()
    for padding in range(4):  # wherever they begin
        body = head + b" " * padding + DATA
        asked = read(body, len(head) + padding, "dense")
        [found] = inputs.tensors(asked, kiln["store"].get("dense"), kiln["settings"])
        assert np.shares_memory(found, np.frombuffer(body, np.uint8))
        assert found.tolist() == [[1, 2, 3, 4]]


# --- Fuzz -----------------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
entries = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", "a", "b", "text", "image"]) | json_values,
        "shape": st.lists(st.integers(-1, 5) | st.just(2**62), max_size=3) | json_values,
        "datatype": st.sampled_from(["FP32", "INT32", "BYTES", "FP16"]) | json_values,
        "data": st.lists(st.integers(-5, 5) | st.floats() | st.text(max_size=3), max_size=5) | json_values,
        "parameters": st.fixed_dictionaries(
            {}, optional={"binary_data_size": st.integers(-1, 40) | json_values, "binary_data": json_values}
        )
        | json_values,
    },
)
heads = st.fixed_dictionaries(
    {},
    optional={
        "inputs": st.lists(entries, max_size=3) | json_values,
        "outputs": st.lists(entries, max_size=2) | json_values,
        "parameters": json_values,
        "id": json_values,
    },
)


@hypothesis.settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    model=st.sampled_from(["dense", "two", "words", "embedding"]),
    head=heads,
    tail=st.binary(max_size=40),
    wrong=st.sampled_from([0, 0, 0, -1, 1]),
)
def test_nothing_gives_a_500(many: FlaskClient, model: str, head: Any, tail: bytes, wrong: int) -> None:
    content = json.dumps(head).encode()
    answer = binary(many, head, tail, model, len(content) + wrong)
    if answer.status_code != 200:
        said(answer)


@hypothesis.settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(data=st.data())
def test_a_good_request_with_a_few_bytes_changed(many: FlaskClient, data: st.DataObject) -> None:
    tail = serialize_byte_tensor(np.array([b"good", b"bad"], object)).tobytes()
    given = {"name": "text", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(tail)}}
    head = json.dumps({"inputs": [given]}).encode()
    body = bytearray(head + tail)
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=3)):
        body[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 3))
    answer = many.post("/v2/models/words/infer", data=bytes(body[: len(body) - cut]), headers={LENGTH: str(len(head))})
    if answer.status_code != 200:
        said(answer)


def test_lengths_of_strings_are_little_endian(many: FlaskClient) -> None:
    content = struct.pack("<I", 4) + b"good"
    given = {"name": "text", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 8}}
    answer = binary(many, {"inputs": [given], "parameters": {"binary_data_output": True}}, content, "words")
    assert answer.data.endswith(struct.pack("<I", 4) + b"good" + bytes(8))


# --- The document ---------------------------------------------------------------------------------------------------


def test_the_document_has_every_path(app: Flask, client: FlaskClient) -> None:
    whole = client.get("/openapi.json").json
    validate(whole)
    rules = {rule.rule.replace("<", "{").replace(">", "}") for rule in app.url_map.iter_rules()}
    assert {path for path in whole["paths"] if path.startswith("/v2")} == {
        rule for rule in rules if rule.startswith("/v2") and rule != "/v2/"
    }


@pytest.mark.slow
@hypothesis.settings(max_examples=30, deadline=None, derandomize=True, database=None)
@hypothesis.given(data=st.data())
def test_what_it_forbids_is_refused(many_app: Flask, data: st.DataObject) -> None:
    kiln = many_app.extensions["kiln"]
    whole = document([kiln["store"].get("dense")], kiln["settings"], kiln["dialects"])
    operation = schemathesis.openapi.from_dict(whole)["/v2/models/{name}/infer"]["POST"]
    case = data.draw(operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    case.path_parameters = {"name": "dense"}
    case.call_and_validate(app=many_app)
