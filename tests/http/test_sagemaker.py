"""SageMaker's contract in this process: every form of a body, every form of an answer, every refusal."""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

pytestmark = pytest.mark.http

JSON, CSV, LINES, NPY = "application/json", "text/csv", "application/jsonlines", "application/x-npy"
ROWS = {"predictions": [[3.5, 4.0, 5.5], [3.5, 4.0, 5.5]]}
NUMBERS, TRIPLES, ONES = "tfs-model-name=half_plus_three", "tfs-model-name=triples", "tfs-model-name=ones"


@pytest.fixture(scope="module")
def served(many_store: Path, tmp_path_factory: pytest.TempPathFactory, make_app: Callable[..., Flask]) -> Flask:
    """Models whose answers are easy to know, and one of pictures."""
    from tests import bundles

    store = tmp_path_factory.mktemp("half")
    for version in ("123", "124"):
        bundles.make(store, "half_plus_three", version, bundles.half_plus_three())
    (store / "half_plus_three" / "serving.json").write_text('{"versions": "all"}')
    bundles.make(store, "triples", "1", bundles.half_plus_three(3))
    bundles.make(store, "ten", "1", bundles.echo("int32"))
    bundles.make(store, "ones", "1", bundles.half_plus_three(1))
    bundles.make(store, "moods", "1", bundles.moods(), labels=("happy", "sad"))
    for name in ("two", "words", "pets", "sequence", "broken"):
        (store / name).symlink_to(many_store / name)
    return make_app(store=store, model="half_plus_three", max_instances=50, max_images=2)


@pytest.fixture
def client(served: Flask) -> FlaskClient:
    return served.test_client()


def post(
    client: FlaskClient, body: Any, kind: str = JSON, attributes: str = "", accept: str = "", **headers: str
) -> TestResponse:
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    named = {"X-Amzn-SageMaker-Custom-Attributes": attributes, "Accept": accept, **headers}
    return client.post(
        "/invocations", data=data, content_type=kind, headers={name: text for name, text in named.items() if text}
    )


def refused(answer: TestResponse, status: int, text: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.content_type == JSON
    assert list(answer.json) == ["error"]
    assert text in answer.json["error"]


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


# --- What the container of TensorFlow Serving answers -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "attributes", "expected"),
    [
        (JSON, '{"instances": [1.0, 2.0, 5.0]}', "", {"predictions": [3.5, 4.0, 5.5]}),
        (JSON, '{"instances": [1.0, 2.0, 5.0]}', NUMBERS, {"predictions": [3.5, 4.0, 5.5]}),
        (JSON, '{"instances": [1.0]}', f"{NUMBERS},tfs-model-version=123", {"predictions": [3.5]}),
        (JSON, '{"instances": [1.0]}', f"{NUMBERS},tfs-method=predict,mine=1", {"predictions": [3.5]}),
        (JSON, '{"instances": [1.0]}', "anything else at all", {"predictions": [3.5]}),
        (JSON, '{"inputs": [1.0, 2.0]}', "", {"outputs": [3.5, 4.0]}),
        (JSON, '{"inputs": {"x": [1.0, 2.0]}}', "", {"outputs": [3.5, 4.0]}),
        (JSON, '{"instances": [{"x": 1}, {"x": 2}]}', "", {"predictions": [3.5, 4.0]}),
        (JSON, '{"instances": [[1, 2, 5], [1, 2, 5]]}', TRIPLES, ROWS),
        (JSON, "[1.0, 2.0, 5.0]", TRIPLES, {"predictions": [[3.5, 4.0, 5.5]]}),
        (JSON, "1.0", "", {"predictions": [3.5]}),
        (JSON, "[[1.0, 2.0, 5.0], [1.0, 2.0, 5.0]]", TRIPLES, ROWS),
        (JSON, "[[1.0, 2.0, 5.0],\n [1.0, 2.0, 5.0]]", TRIPLES, ROWS),
        (JSON, "[1.0, 2.0, 5.0]\n[1.0, 2.0, 5.0]", TRIPLES, ROWS),
        ("application/jsons", "[1.0, 2.0, 5.0]\r\n[1.0, 2.0, 5.0]\r\n", TRIPLES, ROWS),
        (LINES, "[1.0, 2.0, 5.0]\n\n[1.0, 2.0, 5.0]\n", TRIPLES, ROWS),
        (f"{JSON}; charset=utf-8", '{"x": [1.0, 2.0, 5.0]}\n{"x": [1.0, 2.0, 5.0]}', TRIPLES, ROWS),
        (CSV, "1.0", "", {"predictions": [3.5]}),
        (CSV, "0.0", "", {"predictions": [3.0]}),
        (CSV, "-1.0", "", {"predictions": [2.5]}),
        (CSV, "1.0,2.0,5.0", TRIPLES, {"predictions": [[3.5, 4.0, 5.5]]}),
        (CSV, "1.0\n2.0\r\n5.0\n", "", {"predictions": [3.5, 4.0, 5.5]}),
        (CSV, "1.0,2.0,5.0\n1.0,2.0,5.0", TRIPLES, ROWS),
        (CSV, "1.0", ONES, {"predictions": [[3.5]]}),
        (CSV, "1.0\n\n2.0\n", ONES, {"predictions": [[3.5], [4.0]]}),
        (CSV, "good\nbad", "tfs-model-name=words", {"predictions": [["good", "", ""], ["bad", "", ""]]}),
        (CSV, '"good, bad"', "tfs-model-name=words", {"predictions": [["good", "bad", ""]]}),
    ],
)
def test_a_form_of_a_body(client: FlaskClient, kind: str, body: str, attributes: str, expected: Any) -> None:
    answer = post(client, body, kind, attributes)
    assert (answer.status_code, answer.content_type) == (200, JSON), answer.text
    assert answer.json == expected


@pytest.mark.parametrize("body", ["good\nvery bad", '"good"\n"very bad"'])
def test_a_line_of_one_cell_is_a_list_where_the_model_takes_lists(client: FlaskClient, body: str) -> None:
    model = "tfs-model-name=moods"
    expected = post(client, {"instances": [["good"], ["very bad"]]}, attributes=model).json
    answer = post(client, body, CSV, model)
    assert (answer.status_code, answer.json) == (200, expected)
    tokens = post(client, "1\n2", CSV, "tfs-model-name=sequence")
    assert tokens.json == post(client, {"instances": [[1], [2]]}, attributes="tfs-model-name=sequence").json
    assert tokens.status_code == 200


@pytest.mark.parametrize("name", ["serving_default", "tensorflow/serving/predict", ""])
def test_a_signature_is_known_by_its_method_too(client: FlaskClient, name: str) -> None:
    answer = post(client, {"signature_name": name, "instances": [1.0]})
    assert answer.json == {"predictions": [3.5]}


@pytest.mark.parametrize(
    ("kind", "body", "accept", "expected"),
    [
        (JSON, '{"instances": [NaN, -Infinity, 1]}', "", '{"predictions":[NaN,-Infinity,3.5]}'),
        (JSON, '{"inputs": [Infinity]}', "", '{"outputs":[Infinity]}'),
        (CSV, "1\nNaN", CSV, "3.5\nNaN\n"),
    ],
)
def test_what_is_not_finite_is_a_token_of_its_own(
    client: FlaskClient, kind: str, body: str, accept: str, expected: str
) -> None:
    assert post(client, body, kind, accept=accept).text == expected


@pytest.mark.parametrize("signature", [{}, {"signature_name": "tensorflow/serving/regress"}])
def test_regress(client: FlaskClient, signature: dict[str, str]) -> None:
    body = {**signature, "examples": [{"x": 1.0}, {"x": 2.0}]}
    answer = post(client, body, attributes="tfs-method=regress", accept=LINES)
    assert (answer.json or json.loads(answer.data)) == {"results": [3.5, 4.0]}
    assert answer.content_type == LINES


def test_classify(client: FlaskClient, photo: bytes) -> None:
    b64 = {"b64": base64.b64encode(photo).decode()}
    attributes = "tfs-model-name=pets,tfs-method=classify"
    [result] = post(client, {"examples": [{"image": b64}]}, attributes=attributes).json["results"]
    [scores] = post(client, {"instances": [b64]}, attributes="tfs-model-name=pets").json["predictions"]
    assert result == [["cat", scores[0]], ["dog", scores[1]]]


@pytest.mark.parametrize(
    ("method", "body", "kind", "text"),
    [
        ("regress", {"instances": [1.0]}, JSON, "key 'examples' is expected"),
        ("classify", "1.0", CSV, "key 'examples' is expected"),
        ("regress", b"", NPY, "key 'examples' is expected"),
        ("classify", {"examples": [{"x": 1.0}]}, JSON, "Expected classification signature"),
        ("regress", {"examples": [{"y": 1.0}]}, JSON, "Feature: x (data type: float32) is required"),
        ("regress", {"signature_name": "tensorflow/serving/classify", "examples": [{"x": 1}]}, JSON, "not found in"),
    ],
)
def test_examples_that_cannot_be_used(client: FlaskClient, method: str, body: Any, kind: str, text: str) -> None:
    refused(post(client, body, kind, f"tfs-method={method}"), 400, text)


def test_several_inputs_and_outputs(client: FlaskClient) -> None:
    row = {"a": [1, 2, 3], "b": [[1, 2], [3, 4]]}
    rows = post(client, {"instances": [row, row]}, attributes="tfs-model-name=two").json["predictions"]
    assert [set(each) for each in rows] == [{"p", "q"}, {"p", "q"}]
    columns = {name: [value, value] for name, value in row.items()}
    outputs = post(client, {"inputs": {**columns, "more": 1}}, attributes="tfs-model-name=two").json["outputs"]
    assert outputs == {name: [each[name] for each in rows] for name in ("p", "q")}


# --- Answers in other forms -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/jsonlines", LINES),
        ("application/json, application/jsonlines", JSON),
        ("application/jsonlines;q=0.9, application/json", LINES),
        ("*/*", JSON),
        ("image/png", JSON),
        ("text/csv", "text/csv; charset=utf-8"),
        ("Application/X-NPY, text/csv", NPY),
    ],
)
def test_the_first_form_that_the_client_lists_and_there_is(client: FlaskClient, accept: str, kind: str) -> None:
    answer = post(client, {"instances": [1.0, 2.0]}, accept=accept)
    assert answer.content_type == kind
    assert b"\n" not in answer.data or kind not in (JSON, LINES)
    found = {
        NPY: lambda: np.load(io.BytesIO(answer.data)).tolist(),
        "text/csv; charset=utf-8": lambda: [float(line) for line in answer.text.splitlines()],
    }.get(kind, lambda: json.loads(answer.data)["predictions"])()
    assert found == [3.5, 4.0]


def test_csv_of_several_columns(client: FlaskClient) -> None:
    answer = post(client, [[1, 2, 5], [0, 0, 0]], attributes=TRIPLES, accept=CSV)
    assert answer.text == "3.5,4.0,5.5\n3.0,3.0,3.0\n"


@pytest.mark.parametrize("accept", [NPY, CSV])
@pytest.mark.parametrize("model", ["two", "words"])
def test_what_has_no_such_form_is_json(client: FlaskClient, model: str, accept: str) -> None:
    instance = {"a": [1, 2, 3], "b": [[1, 2], [3, 4]]} if model == "two" else "good"
    answer = post(client, {"instances": [instance]}, attributes=f"tfs-model-name={model}", accept=accept)
    assert (answer.status_code, answer.content_type) == (200, JSON)


# --- Arrays and pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<f8", "<f4", ">f4", "<f2", "<i8", "|u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_numpy(client: FlaskClient, dtype: str, order: Any) -> None:
    array = np.array([[1, 2, 5], [0, 2, 4]], dtype, order=order)
    answer = post(client, npy(array), NPY, TRIPLES)
    assert answer.json == {"predictions": [[3.5, 4.0, 5.5], [3.0, 4.0, 5.0]]}


def head(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "no array"),
        (b"PK\x03\x04", "no array"),
        (head("(3,)")[:60], "no array"),
        (head("(1,3)"), "another length"),
        (head("(1,3)") + bytes(13), "another length"),
        (head("(99999999999999,3)") + bytes(12), "another length"),
        (head("(-1,-3)") + bytes(12), "another length"),
        (head("(0,3)"), "takes [any, 3]"),
        (head("(3,)") + bytes(12), "takes [any, 3]"),
        (head("(1,4)") + bytes(16), "takes [any, 3]"),
        (head("(51,3)") + bytes(51 * 12), "at most 50"),
        (head("(1,3)", "|O") + bytes(24), "not taken"),
        (head("(1,3)", "<U1") + bytes(12), "not taken"),
        (head("(1,3)", "|b1") + bytes(3), "the model takes float32"),
        (head("(" * 500), "no array"),
    ],
)
def test_an_array_that_lies(client: FlaskClient, body: bytes, text: str) -> None:
    refused(post(client, body, NPY, TRIPLES), 400, text)


def test_an_array_must_fit_the_input(client: FlaskClient) -> None:
    refused(post(client, npy(np.array([[1 << 40, 1]])), NPY, "tfs-model-name=ten"), 400, "cannot hold")
    refused(post(client, npy(np.array([[1.0, 1.0]])), NPY, "tfs-model-name=ten"), 400, "takes int32")
    assert post(client, npy(np.array([[7, 1]])), NPY, "tfs-model-name=ten").json == {"predictions": [[7, 1]]}
    for large in (4e300, -4e300):
        array = np.array([[1.0, large, np.inf]])
        refused(post(client, npy(array), NPY, TRIPLES), 400, "values that float32 cannot hold")
    refused(post(client, npy(np.zeros((1, 3))), NPY, "tfs-model-name=two"), 400, "2 inputs")


@given(st.binary(max_size=300).map(lambda tail: head("(1,3)")[:10] + tail) | st.binary(max_size=300))
@example(head("(1,3)") + bytes(12))
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_the_reader_of_arrays(served: Flask, body: bytes) -> None:
    assert post(served.test_client(), body, NPY, TRIPLES).status_code in (200, 400)


@pytest.mark.parametrize("kind", ["image/jpeg", "application/x-image"])
def test_a_picture(client: FlaskClient, photo: bytes, kind: str) -> None:
    b64 = {"b64": base64.b64encode(photo).decode()}
    raw = post(client, photo, kind, "tfs-model-name=pets")
    assert raw.status_code == 200
    assert raw.json == post(client, {"instances": [b64]}, attributes="tfs-model-name=pets").json
    assert raw.json == post(client, {"instances": [{"image": b64}]}, attributes="tfs-model-name=pets").json
    assert raw.json == post(client, b64, attributes="tfs-model-name=pets").json
    [scores] = raw.json["predictions"]
    assert sum(scores) == pytest.approx(1)
    columns = post(client, {"inputs": [b64, b64]}, attributes="tfs-model-name=pets")
    assert columns.json == {"outputs": [scores, scores]}


def test_a_model_of_pictures_takes_its_tensor_too(client: FlaskClient) -> None:
    tensor = np.zeros((1, 16, 16, 3), "f4")
    as_json = post(client, {"instances": tensor.tolist()}, attributes="tfs-model-name=pets")
    assert as_json.status_code == 200
    assert as_json.json == post(client, npy(tensor), NPY, "tfs-model-name=pets").json


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "The document is empty"),
        (b"whatever", "JSON Parse error: Invalid value."),
        (b"[1.0]\n[1.0", "Missing a comma or a closing bracket"),
        (b'{"junk": "data"}', "Failed to process element: 0 key: junk of 'instances' list."),
        (b'{"instances": [1], "inputs": [1]}', "expecting only one of 'inputs' or 'instances' keys to exist"),
        (b"1.0\n2.0", "Missing a comma or a closing bracket"),
        (b"1],[2", "must not be followed by other values"),
        (b'{"examples": [{"x": 1}]}', "Missing 'inputs' or 'instances' key"),
        (b'{"instances": 1}', "Expecting 'instances' to be an list/array"),
        (b'{"instances": []}', "No values in 'instances' array"),
        (b'{"inputs": []}', "There are no instances"),
        (b'{"inputs": 1}', "must be a list"),
        (b'{"inputs": {"y": [1]}}', "Missing named input: x in 'inputs' object."),
        (b'{"instances": [{"x": 1}, 1]}', "Expecting object but got list at item 1 of input list"),
        (b'{"instances": [1, {"x": 1}]}', "Expecting value/list but got object at item 1 of input list"),
        (b'{"instances": [{}]}', "keys must be equal to: x"),
        (b'{"instances": ["a"]}', 'JSON Value: "a" Type: String is not of expected type: float'),
        (b'{"instances": [{"b64": "AA=="}]}', "Type: Object is not of expected type: float"),
        (b'{"instances": [[1]]}', "where a number belongs"),
        (b'{"instances": [1e999]}', "Number too big to be stored in double"),
        (b'{"instances": [1e300]}', "to float without loss of precision"),
        (b'{"instances": [null]}', "null"),
        (b"[" * 100_000, "nested too deep"),
        (json.dumps({"instances": [1] * 51}).encode(), "at most 50"),
    ],
)
def test_a_body_that_is_wrong(client: FlaskClient, body: bytes, text: str) -> None:
    refused(post(client, body), 400, text)


@pytest.mark.parametrize(
    ("model", "body", "text"),
    [
        ("two", {"instances": [[1, 2, 3]]}, "instances is a plain list, but expecting list of objects"),
        ("two", {"inputs": [[1, 2, 3]]}, "inputs is a plain value/list, but expecting an object"),
        ("two", {"instances": [{"a": [1, 2, 3]}]}, "keys must be equal to: a,b"),
        ("two", {"inputs": {"a": [[1, 2, 3]] * 2, "b": [[[1, 2], [3, 4]]]}}, "a: 2, b: 1"),
        ("sequence", {"instances": [[11]]}, "The engine failed on these values"),
        ("pets", {"instances": [{"b64": "?"}]}, "Unable to base64 decode"),
        ("pets", {"instances": [{"b64": "AA=="}, {"b64": 1}]}, "Expecting value/list but got object at item 1"),
        ("pets", {"instances": [{"b64": "AA=="}, 1]}, "Type: Number is not of expected type: string"),
        ("pets", {"instances": [{"b64": "AA=="}] * 3}, "at most 2"),
        ("pets", {"instances": [{"b64": "AA=="}]}, "picture"),
    ],
)
def test_instances_that_the_model_does_not_take(client: FlaskClient, model: str, body: Any, text: str) -> None:
    answer = post(client, body, attributes=f"tfs-model-name={model}")
    refused(answer, answer.status_code, text)
    assert answer.status_code in (400, 415)


@pytest.mark.parametrize(
    ("body", "text"),
    [("", "no line"), (" \n", "no line"), ("1,,2", "Not numbers"), ("1]\n[2", "Not numbers"), (b"\xff", "UTF-8")],
)
def test_csv_that_is_wrong(client: FlaskClient, body: Any, text: str) -> None:
    refused(post(client, body, CSV), 400, text)


@pytest.mark.timeout(30)  # what takes the square of its length takes hours
@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (b"[1]" + b"\n" * 500_000 + b"x", JSON, "JSON Parse error"),
        (b"[1]\n" * 100_000, JSON, "100000 instances were sent; at most 50"),
        (b"1,2\n" * 100_000, CSV, "100000 instances were sent; at most 50"),
        (b"\n" * 500_000, CSV, "no line"),
    ],
)
def test_a_long_body_is_refused_soon(client: FlaskClient, body: bytes, kind: str, text: str) -> None:
    refused(post(client, body, kind), 400, text)


def test_too_many_examples_are_not_looked_at(client: FlaskClient) -> None:
    body = {"examples": [{"x": 1}] * 50 + [5]}
    refused(post(client, body, attributes="tfs-method=classify"), 400, "51 examples were sent; at most 50")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_with_any_end_of_a_line(client: FlaskClient, end: str) -> None:
    assert post(client, end.join(["1.0", "", " 2.0 ", ""]), CSV).json == {"predictions": [3.5, 4.0]}


@pytest.mark.parametrize(
    ("attributes", "status", "text"),
    [
        ("tfs-model-name=nobody", 404, "Servable not found for request: Latest(nobody)"),
        ("tfs-model-version=5", 404, "Servable not found for request: Specific(half_plus_three, 5)"),
        ("tfs-model-name=broken", 503, "not ready"),
        ("tfs-model-version=new", 400, "must be a number"),
        ("tfs-method=dance", 400, "tfs-method=dance"),
    ],
)
def test_attributes_that_mean_nothing_here(client: FlaskClient, attributes: str, status: int, text: str) -> None:
    refused(post(client, {"instances": [1]}, attributes=attributes), status, text)


@pytest.mark.parametrize(("kind", "told"), [("text/plain", "text/plain"), ("", "Unknown"), ("x" * 200, "x" * 100)])
def test_another_media_type(client: FlaskClient, kind: str, told: str) -> None:
    answer = client.post("/invocations", data=b"1", headers={"Content-Type": kind} if kind else {})
    refused(answer, 415, "")
    assert answer.json == {"error": f"Unsupported Media Type: {told}"}


def test_a_compressed_body_and_a_bomb(client: FlaskClient) -> None:
    body = gzip.compress(b'{"instances": [1.0]}')
    assert post(client, body, **{"Content-Encoding": "gzip"}).json == {"predictions": [3.5]}
    bomb = gzip.compress(b"1" * 20_000_000)
    refused(post(client, bomb, **{"Content-Encoding": "gzip"}), 413, "unpacks to more")
    refused(post(client, body, **{"Content-Encoding": "br"}), 415, "Content-Encoding br")


def test_a_method_that_there_is_not(client: FlaskClient) -> None:
    answer = client.get("/invocations")
    refused(answer, 405, "method")
    assert "POST" in answer.headers["Allow"]


# --- The node ---------------------------------------------------------------------------------------------------------


def test_ping(client: FlaskClient, tmp_path: Path, make_app: Callable[..., Flask]) -> None:
    assert (client.get("/ping").status_code, client.get("/ping").data) == (200, b"")
    empty = make_app(store=tmp_path).test_client()
    refused(empty.get("/ping"), 503, "catdog")
    refused(post(empty, {"instances": [1]}), 503, "not ready")


def test_the_platforms_request_id_is_taken_over(client: FlaskClient) -> None:
    ids = {"X-Amzn-SageMaker-Inference-Id": "theirs", "X-Request-ID": "mine"}
    assert post(client, {"instances": [1]}, **ids).headers["X-Request-ID"] == "theirs"
    assert client.get("/live", headers={**ids, "X-Amzn-SageMaker-Inference-Id": "a b"}).headers["X-Request-ID"] != "a b"


def test_it_is_counted_as_its_own_dialect(client: FlaskClient) -> None:
    post(client, {"instances": [1.0, 2.0]})
    lines = client.get("/metrics").text.splitlines()
    assert any("kiln_answer_seconds_count" in line and 'dialect="sagemaker"' in line for line in lines)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_every_form_says_the_same(served: Flask, numbers: Sequence[float]) -> None:
    client = served.test_client()
    expected = post(client, {"instances": numbers}).json
    assert post(client, "\n".join(map(repr, numbers)), CSV).json == expected
    assert post(client, npy(np.array(numbers, "f4")), NPY).json == expected
    assert post(client, {"inputs": numbers}).json == {"outputs": expected["predictions"]}


@given(st.binary(max_size=200), st.sampled_from([JSON, CSV, LINES]))
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_it(served: Flask, body: bytes, kind: str) -> None:
    assert post(served.test_client(), body, kind).status_code in (200, 400)
