"""TensorFlow Serving's REST API: its pairs of requests and answers, its error texts, its traps."""

from __future__ import annotations

import base64
import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app import create_app
from app.dialects import Answer
from app.settings import Settings
from tests import bundles

pytestmark = [pytest.mark.http]

PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()
B64 = base64.b64encode(PHOTO).decode()
HALF = "/v1/models/half"


@pytest.fixture(scope="session")
def half_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = x / 2 + 2 in two versions, of one number and of two; and what else the original's own tests are about."""
    import keras

    def half(*shape: int) -> Any:
        inputs = keras.Input(shape, name="x")
        return keras.Model(inputs, keras.layers.Rescaling(0.5, 2.0, name="y")(inputs))

    store = tmp_path_factory.mktemp("half")
    bundles.make(store, "half", "122", half())
    bundles.make(store, "half", "123", half())
    serving = {"versions": "all", "labels": {"good_label": "123", "old": "122"}}
    (store / "half" / "serving.json").write_text(json.dumps(serving))
    bundles.make(store, "halves", "1", half(2))
    bundles.make(store, "single", "1", half(1))
    text = keras.Input((), name="text", dtype="string")
    same = keras.layers.Identity(dtype="string")(text)
    bundles.make(store, "texts", "1", keras.Model(text, {"plain": same, "coded_bytes": same}))
    bundles.make(store, "moods", "1", bundles.moods(), labels=("happy", "sad"))
    bundles.make(store, "older", "1", half())
    bundles.make(store, "older", "2", half())  # which leaves nobody who wants the first
    broken = bundles.make(store, "broken", "1", half())
    with (broken.folder / "model.keras").open("r+b") as file:
        file.write(b"damage")
    return store


@pytest.fixture(scope="session")
def half_app(half_store: Path) -> Flask:
    return create_app(
        Settings(store=half_store, model="half", load_wait=100, max_instances=100, max_body_bytes=100_000)
    )


@pytest.fixture
def half(half_app: Flask) -> FlaskClient:
    return half_app.test_client()


def post(client: FlaskClient, path: str, body: Any, **options: Any) -> Any:
    """The status and the body of an answer; the body is sent as it is where it is text or bytes."""
    data = body if isinstance(body, (str, bytes)) else json.dumps(body)
    answer = client.post(path, data=data, **options)
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status_code, json.loads(answer.text)


def error(client: FlaskClient, path: str, body: Any, status: int = 400, **options: Any) -> str:
    """The message of a request that is refused."""
    found, answer = post(client, path, body, **options)
    assert found == status, answer
    assert list(answer) == ["error"]
    message: str = answer["error"]
    return message


# --- Pairs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        (
            "/v1/models/halves:predict",
            {"instances": [[1.0, 2.0], [3.0, 4.0]]},
            {"predictions": [[2.5, 3.0], [3.5, 4.0]]},
        ),
        (f"{HALF}/versions/123:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}),
        (f"{HALF}/versions/0122:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}),
        (f"{HALF}/labels/good_label:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}),
        (
            f"{HALF}:predict",
            {"signature_name": "serving_default", "instances": [3.0, 4.0]},
            {"predictions": [3.5, 4.0]},
        ),
        (f"{HALF}:predict", {"signature_name": "", "inputs": [3, 4]}, {"outputs": [3.5, 4.0]}),
        (f"{HALF}:predict", {"inputs": {"x": [3.0], "other": 1}, "unknown": None}, {"outputs": [3.5]}),
        (f"{HALF}:predict", {"instances": [{"x": 3.0}, {"x": 4.0}]}, {"predictions": [3.5, 4.0]}),
        (f"{HALF}:regress", {"signature_name": "serving_default", "examples": [{"x": 80.0}]}, {"results": [42.0]}),
        (f"{HALF}:regress", {"examples": [{"x": [80]}, {"x": True}]}, {"results": [42.0, 2.5]}),
        ("/v1/models/single:regress", {"examples": [{"x": 80.0, "y": "any"}]}, {"results": [42.0]}),
        (f"{HALF}:regress", {"context": {"x": 1.0}, "examples": [{}, {"x": 2.0}]}, {"results": [2.5, 3.0]}),
        ("/V1/Models/half/Versions/123:PREDICT", {"instances": [1.0]}, {"predictions": [2.5]}),
        ("/v1/models/%68alf:predict", {"instances": [1.0]}, {"predictions": [2.5]}),
    ],
)
def test_pairs(half: FlaskClient, path: str, body: Any, answer: Any) -> None:
    assert post(half, path, body) == (200, answer)


def test_classify_names_every_label_in_the_models_order(many: FlaskClient) -> None:
    status, answer = post(many, "/v1/models/iris:classify", {"examples": [{"x": [1.0, 2.0, 3.0, 4.0]}] * 2})
    assert status == 200
    assert [label for label, _ in answer["results"][0]] == ["a", "b", "c"]
    assert sum(score for _, score in answer["results"][1]) == pytest.approx(1)


def test_text_is_classified_and_its_bytes_are(half: FlaskClient) -> None:
    texts = [b"good", "größer bad".encode(), b"\xff bad"]
    coded = [{"b64": base64.b64encode(text).decode()} for text in texts]
    _, predicted = post(half, "/v1/models/moods:predict", {"instances": [[each] for each in coded]})
    for features in (coded, [[each] for each in coded], ["good", "größer bad", coded[2]]):
        status, answer = post(half, "/v1/models/moods:classify", {"examples": [{"text": each} for each in features]})
        assert status == 200, answer
        assert [[score for _, score in result] for result in answer["results"]] == predicted["predictions"]
    message = error(half, "/v1/models/single:regress", {"examples": [{"x": coded[0]}]})
    assert "examples[0].x[0] is text where a number belongs" in message


def test_pictures_are_classified_and_predicted(many: FlaskClient) -> None:
    _, named = post(many, "/v1/models/pets/versions/1:classify", {"examples": [{"image": {"b64": B64}}]})
    _, rows = post(many, "/v1/models/pets/versions/1:predict", {"instances": [{"b64": B64}, {"b64": B64.rstrip("=")}]})
    _, keyed = post(many, "/v1/models/pets/versions/1:predict", {"instances": [{"image": {"b64": B64}}]})
    _, columns = post(many, "/v1/models/pets/versions/1:predict", {"inputs": {"image": [{"b64": B64}]}})
    scores = [score for _, score in named["results"][0]]
    assert rows["predictions"] == [pytest.approx(scores)] * 2
    assert keyed["predictions"] == columns["outputs"] == [pytest.approx(scores)]


def test_the_networks_own_tensor_is_taken_where_pictures_are(many_app: Flask) -> None:
    model = many_app.extensions["kiln"]["store"].get("pets", "1")
    tensor = model.prepare([PHOTO])
    path = "/v1/models/pets/versions/1:predict"
    _, expected = post(many_app.test_client(), path, {"instances": [{"b64": B64}]})
    for body in ({"instances": tensor.tolist()}, {"inputs": tensor.tolist()}, {"inputs": {"image": tensor.tolist()}}):
        status, answer = post(many_app.test_client(), path, body)
        assert status == 200
        assert next(iter(answer.values())) == [pytest.approx(expected["predictions"][0], abs=1e-5)]


def test_several_inputs_and_outputs(many: FlaskClient) -> None:
    rows = [{"a": [1, 2, 3], "b": [[1, 2], [3, 4]]}, {"b": [[5, 6], [7, 8]], "a": [4, 5, 6]}]
    columns = {name: [row[name] for row in rows] for name in ("a", "b")}
    _, by_row = post(many, "/v1/models/two:predict", {"instances": rows})
    _, by_column = post(many, "/v1/models/two:predict", {"inputs": columns})
    assert [row["p"] for row in by_row["predictions"]] == by_column["outputs"]["p"]
    assert [row["q"] for row in by_row["predictions"]] == by_column["outputs"]["q"]


def test_text_goes_in_plain_or_coded_and_comes_out_as_its_name_says(half: FlaskClient) -> None:
    coded = {"b64": base64.b64encode("Käse".encode()).decode()}
    _, answer = post(half, "/v1/models/texts:predict", {"instances": ["Käse", coded]})
    assert answer["predictions"] == [{"plain": "Käse", "coded_bytes": coded}] * 2
    raw = {"b64": "/w=="}  # no text
    _, answer = post(half, "/v1/models/texts:predict", {"inputs": [raw]})
    assert answer["outputs"]["coded_bytes"] == [raw]


def test_what_is_not_finite_is_a_token_in_both_directions(many: FlaskClient) -> None:
    answer = many.post("/v1/models/exponential:predict", data=b'{"instances": [[Infinity], [-Infinity], [0], [0.2]]}')
    assert "Infinity" in answer.text
    assert "NaN" in answer.text
    rows = json.loads(answer.text)["predictions"]
    assert rows[0]["power"] == [math.inf]
    assert math.isnan(rows[0]["rest"][0])
    assert rows[1:3] == [{"power": [0.0], "rest": [0.0]}, {"power": [1.0], "rest": [0.0]}]
    assert rows[3]["power"] == [float(str(np.exp(np.float32(0.2))))]  # no more digits than say it
    assert post(many, "/v1/models/exponential:predict", b'{"inputs": [[-Infinity]]}')[0] == 200


@pytest.mark.parametrize("tail", ["x", "}", "\n{}", " NaN"])
def test_what_stands_behind_the_first_value_counts_for_nothing(half: FlaskClient, tail: str) -> None:
    assert post(half, f"{HALF}:predict", ' {"instances": [1.0]}' + tail) == (200, {"predictions": [2.5]})


@pytest.mark.parametrize(
    "kind", ["text/plain", "image/jpeg", "application/x-www-form-urlencoded", "", "multipart/form-data"]
)
def test_the_media_type_counts_for_nothing(half: FlaskClient, kind: str) -> None:
    assert post(half, f"{HALF}:predict", '{"instances": [1.0]}', content_type=kind)[0] == 200


def test_gzip_is_unpacked(half: FlaskClient) -> None:
    body = gzip.compress(b'{"instances": [1.0]}')
    head = {"Content-Encoding": "gzip"}
    assert post(half, f"{HALF}:predict", body, headers=head) == (200, {"predictions": [2.5]})
    assert "The document is empty" in error(half, f"{HALF}:predict", body[:-5], headers=head)
    assert "The document is empty" in error(half, f"{HALF}:predict", b"no gzip", headers=head)
    bomb = gzip.compress(b" " * 10_000_000)
    error(half, f"{HALF}:predict", bomb, 413, headers=head)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "uint64", "float16", "float64", "bool"])
def test_values_of_every_kind_come_back(many: FlaskClient, dtype: str) -> None:
    rows = [[True, False]] if dtype == "bool" else [[1, 2**53 + 1 if dtype.endswith("64") and "i" in dtype else 3]]
    status, answer = post(many, f"/v1/models/echo-{dtype}:predict", {"instances": rows})
    assert (status, answer) == (200, {"predictions": rows})


# --- Status and metadata --------------------------------------------------------------------------------------------


def status(client: FlaskClient, path: str) -> tuple[int, Any]:
    answer = client.get(path)
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status_code, answer.json


def entry(version: str, state: str = "AVAILABLE", code: str = "OK", message: str = "") -> dict[str, Any]:
    return {"version": version, "state": state, "status": {"error_code": code, "error_message": message}}


@pytest.mark.parametrize("path", [HALF, f"{HALF}/labels/old", f"{HALF}/labels/nothing", "/v1/models/hal%66"])
def test_every_version_is_told_newest_first_and_a_label_counts_for_nothing(half: FlaskClient, path: str) -> None:
    assert status(half, path) == (200, {"model_version_status": [entry("123"), entry("122")]})


def test_the_status_of_one_version(half: FlaskClient) -> None:
    assert status(half, f"{HALF}/versions/122") == (200, {"model_version_status": [entry("122")]})
    assert status(half, f"{HALF}/versions/5") == (404, {"error": "Could not find version 5 of model half"})
    assert status(half, "/v1/models/foo") == (404, {"error": "Could not find any versions of model foo"})


def test_what_nobody_wants_is_no_failure_and_what_failed_is(half: FlaskClient) -> None:
    assert status(half, "/v1/models/older")[1]["model_version_status"] == [entry("2"), entry("1", "END")]
    code, answer = status(half, "/v1/models/broken")
    assert code == 200  # as misleading as the original; see below
    [broken] = answer["model_version_status"]
    assert (broken["state"], broken["status"]["error_code"]) == ("END", "FAILED_PRECONDITION")
    assert broken["status"]["error_message"]


def test_metadata(half: FlaskClient) -> None:
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    signature = {
        "inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "x:0"}},
        "outputs": {"y": {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "y:0"}},
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }
    for path, version in ((HALF, "123"), (f"{HALF}/versions/122", "122"), (f"{HALF}/labels/old", "122")):
        assert status(half, f"{path}/metadata") == (
            200,
            {
                "model_spec": {"name": "half", "signature_name": "", "version": version},
                "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
            },
        )


def test_a_model_of_pictures_tells_of_text(many: FlaskClient) -> None:
    _, answer = status(many, "/v1/models/embedding/metadata")
    [signature] = answer["metadata"]["signature_def"]["signature_def"].values()
    assert signature["inputs"]["image"]["dtype"] == "DT_STRING"
    assert signature["outputs"]["scores"]["tensor_shape"]["dim"] == [
        {"size": "-1", "name": ""},
        {"size": "2", "name": ""},
    ]


@pytest.mark.parametrize(("method", "what"), [("get", "/metadata"), ("post", ":predict"), ("post", ":regress")])
def test_what_is_not_served(half: FlaskClient, method: str, what: str) -> None:
    def told(path: str) -> tuple[int, str]:
        options = {} if method == "get" else {"json": {"instances": [1.0], "examples": [{"x": 1.0}]}}
        answer = getattr(half, method)(f"/v1/models/{path}{what}", **options)
        return answer.status_code, answer.json["error"]

    assert told("foo") == (404, "Servable not found for request: Latest(foo)")
    assert told("a%2Fb") == (404, "Servable not found for request: Latest(a/b)")
    assert told("half/versions/5") == (404, "Servable not found for request: Specific(half, 5)")
    assert told("half/labels/L") == (400, "Unrecognized servable version label: L")
    assert told("foo/labels/L") == (400, "Unrecognized servable version label: L")
    assert told(f"half/versions/{2**63}") == (400, f"Failed to convert version: {2**63} to numeric.")
    code, message = told("broken")
    assert code == 404
    assert message.startswith("Servable not found for request: Latest(broken)")


def test_truthful_status_codes(half_store: Path) -> None:
    config = Settings(store=half_store, model="half", models=("half", "broken"), load_wait=100, status_codes="truthful")
    client = create_app(config).test_client()
    code, answer = status(client, "/v1/models/broken")
    assert code == 503
    assert answer["model_version_status"][0]["state"] == "END"
    assert status(client, HALF)[0] == 200
    assert status(client, "/v1/models/broken/metadata")[0] == 503
    error(client, "/v1/models/broken:predict", {"instances": [1.0]}, 503)


# --- Errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/foo"),
        ("POST", "/v1/foo"),
        ("GET", "/v1/"),
        ("GET", "/v1//models"),
        ("GET", "/v1/models/debug/model_name"),
        ("POST", "/v1/models"),
        ("GET", "/v1/models/foo:predict"),
        ("GET", "/v1/models/foo/version/50:predict"),
        ("POST", "/v1/models/foo/version/50:predict"),
        ("POST", "/v1/models/foo/versions/HELLO:regress"),
        ("POST", "/v1/models/foo/versions/٣:regress"),
        ("POST", "/v1/models/foo/metadata"),
        ("POST", "/v1/models/foo/label/some_label:regress"),
        ("POST", "/v1/models/foo/versions/50/labels/some_label:regress"),
        ("PUT", "/v1/models/half"),
        ("DELETE", "/v1/models/half"),
        ("PATCH", "/v1/models/half:predict"),
        ("TRACE", "/v1/models/half"),
        ("FOO", "/v1/models/half:predict"),
        ("FOO", "/v1/nothing"),
        ("FOO", "/v1//models/half"),
    ],
)
def test_malformed(half: FlaskClient, method: str, path: str) -> None:
    answer = half.open(path, method=method)
    assert answer.status_code == 400
    assert answer.json["error"].startswith(f"Malformed request: {method} /v1/")
    assert answer.text.startswith('{\n    "error": "')


def test_options(half: FlaskClient) -> None:
    for origin, code in (("http://example.com", 200), ("https://example.com", 200), ("", 400)):
        answer = half.options("/v1/models/half", headers={"Origin": origin})
        assert (answer.status_code, answer.data) == (code, b"")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b" \n", "JSON Parse error: The document is empty"),
        (b"instances = [1, 2]", "JSON Parse error: Invalid value. at offset: 0"),
        (b'{"instances": [1', "JSON Parse error: Missing a comma or a closing bracket. at offset: 16"),
        (b'{"instances": ["\xff"]}', "JSON Parse error: Invalid encoding in string. at offset: 16"),
        (b'{"instances": ["\\ud800"], "x": NaN}', "JSON Parse error: Invalid encoding in string. at offset: "),
        (b'{"instances": [1e999]}', "JSON Parse error: Number too big to be stored in double. at offset: "),
        (b'{"instances": [' + b"9" * 999 + b"]}", "JSON Parse error: Number too big to be stored in double. at offset"),
        (b"[" * 50_000, "JSON Parse error: "),
        (b"[1]", "JSON Value: [1] Is not object"),
        (b"NaN", "Is not object"),
        ({"signature_name": 100}, "'signature_name' key must be a string value."),
        ({"signature_name": "x"}, 'Serving signature name: "x" not found in signature def'),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [1], "inputs": [1]}, "expecting only one of 'inputs' or 'instances' keys to exist"),
        ({"instances": 1}, "Expecting 'instances' to be an list/array"),
        ({"instances": {"x": 1}}, "Expecting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"inputs": []}, "no instances"),
        ({"inputs": {"x": []}}, "no instances"),
        ({"inputs": 1.0}, "must be a list"),
        ({"inputs": None}, "must be a list"),
        ({"inputs": {"x": 1.0}}, "must be a list"),
        ({"inputs": {"b64": "AA=="}}, "must be a list"),
        ({"inputs": {"b64": 1}}, "Missing named input: x in 'inputs' object."),
        ({"inputs": {}}, "Missing named input: x in 'inputs' object."),
        ({"instances": [{"x": 1}, 2]}, "Expecting object but got list at item 1 of input list"),
        ({"instances": [1, {"x": 2}]}, "Expecting value/list but got object at item 1 of input list"),
        ({"instances": [{"z": 1}]}, "JSON object: does not have named input: z"),
        ({"instances": [{"b64": 1}]}, "JSON object: does not have named input: b64"),
        ({"instances": [{}]}, "keys must be equal to: x"),
        (
            {"instances": ["x", "y"]},
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "x" Type: String is not of expected type: float',
        ),
        (
            {"instances": [1, None]},
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: null",
        ),
        (
            {"instances": [{"x": 1}, {"x": "y"}]},
            "Failed to process element: 1 key: x of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"y\"",
        ),
        ({"instances": [True]}, "Type: True is not of expected type: float"),
        ({"instances": [{"b64": "AA=="}]}, "Type: Object is not of expected type: float"),
        ({"inputs": ["x"]}, 'JSON Value: "x" Type: String is not of expected type: float'),
        ({"instances": [1, [1]]}, "Expecting shape [] but got: [1]"),
        ({"instances": [[1, 2], [1, 2, 3]]}, "Expecting tensor size: 2 but got: 3"),
        ({"instances": [[1, 2], [[1, 2]]]}, "Expecting shape [2] but got: [1,2]"),
        ({"instances": [[[1, 2], [3]]]}, "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ({"instances": [[1, [2]]]}, "Encountered list at unexpected level: 1 expected < 1"),
        ({"instances": [[[1], 2]]}, "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ({"instances": [[1.0]]}, "a list where"),  # good values of the wrong shape
        ({"instances": [[]]}, "a list where"),
        ({"instances": [1e39]}, "Cannot convert JSON value: 1e+39 to float without loss of precision."),
        ({"instances": [1.0] * 101}, "101 instances were sent; at most 100 are taken at once."),
        ({"inputs": [1.0] * 101}, "101 instances were sent; at most 100 are taken at once."),
        (b'{"instances": ' + b"[" * 90 + b"]" * 90 + b"}", "Encountered list at unexpected level"),
        (b'{"instances": [' + b"[" * 900 + b"]" * 900 + b", NaN]}", ""),
        ({"instances": [{"x": "y" * 999}]}, "..."),
    ],
)
def test_a_wrong_predict_request(half: FlaskClient, body: Any, message: str) -> None:
    assert message in error(half, f"{HALF}:predict", body)


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("two", {"instances": [1]}, "instances is a plain list, but expecting list of objects"),
        ("two", {"inputs": [1]}, "inputs is a plain value/list, but expecting an object"),
        ("two", {"inputs": {"b64": "AA=="}}, "inputs is a plain value/list, but expecting an object"),
        ("two", {"instances": [{"b64": "AA=="}]}, "does not have named input: b64"),
        ("two", {"instances": [{"a": [1, 2, 3]}]}, "keys must be equal to: a,b"),
        ("two", {"inputs": {"a": [[1, 2, 3]]}}, "Missing named input: b in 'inputs' object."),
        ("two", {"inputs": {"a": [[1, 2, 3]] * 2, "b": [[[1, 2], [3, 4]]]}}, "same size along their first axis"),
        (
            "two",
            {"instances": [{"a": [1, 2, 3], "b": [[1, 2], [3, 4.0]]}]},
            "4.0 Type: Number is not of expected type: int32",
        ),
        ("two", {"instances": [{"a": [1, 2, 3], "b": [[1, 2], [3, 2**31]]}]}, "is not of expected type: int32"),
        ("echo-uint8", {"instances": [[1, 300]]}, "not an integer from 0 to 255"),
        ("echo-uint64", {"instances": [[1, -1]]}, "-1 Type: Number is not of expected type: uint64"),
        ("echo-int64", {"instances": [[1, 2**63]]}, "is not of expected type: int64"),
        ("echo-float16", {"instances": [[1, 1e6]]}, "to half without loss"),
        ("echo-bool", {"instances": [[True, 1]]}, "1 Type: Number is not of expected type: bool"),
        ("two", {"instances": [{"a": [1, 2], "b": [[1, 2], [3, 4]]}]}, "instances[0].a is a list of 2 where 3 belong"),
        ("two", {"instances": [{"a": [1, 2, 3], "b": [1, 2]}]}, "instances[0].b[0] is a number where a list belongs"),
        ("two", {"inputs": {"a": [[1, 2]], "b": [[[1, 2], [3, 4]]]}}, "inputs 'a'[0] is a list of 2 where 3 belong"),
        ("dense", {"instances": [[1, 2]]}, "instances[0] is a list of 2 where 4 belong"),
        ("words", {"instances": [1]}, "1 Type: Number is not of expected type: string"),
        ("words", {"instances": [{"b64": "%"}]}, "Unable to base64 decode"),
        ("words", {"instances": [{"b64": "_-8="}]}, "Unable to base64 decode"),
        ("words", {"inputs": [{"b64": 1}]}, "not formatted correctly for base64 data"),
        ("words", {"inputs": [{"b64": "YQ=="}, "b", {"c": 1}]}, "not formatted correctly for base64 data"),
        ("words", {"instances": [["YQ=="]]}, "Expecting shape [?] but got: [1,1]"),
        ("words", {"instances": [[{"b64": "YQ=="}]]}, "Expecting shape [?] but got: [1,1]"),
        ("sequence", {"instances": [[1, 2], [1]]}, "Expecting tensor size: 2 but got: 1"),
        ("sequence", {"instances": [[1, 10]]}, "The engine failed on these values."),
        ("embedding", {"instances": [{"b64": ""}]}, "empty"),
        ("embedding", {"instances": [{"b64": "AAAA"}]}, "not a picture"),
        ("embedding", {"instances": ["text"]}, "not a picture"),
        ("embedding", {"instances": [{"b64": B64[:9000]}]}, ""),
        ("embedding", {"instances": [{"b64": B64}] * 5}, "5 images were sent; at most 4 are taken at once."),
        ("embedding", {"instances": [{"b64": B64}, 1]}, "1 Type: Number is not of expected type: string"),
        ("embedding", {"instances": [1.0, {"b64": B64}]}, "Type: Object is not of expected type: float"),
        ("embedding", {"instances": [[[[1.0]]]]}, "instances[0]"),
    ],
)
def test_a_wrong_value(many: FlaskClient, model: str, body: Any, message: str) -> None:
    assert message in error(many, f"/v1/models/{model}:predict", body)


@pytest.mark.parametrize(
    ("model", "verb", "body", "message"),
    [
        ("iris", "classify", {}, "key 'examples' is expected and was not found"),
        ("iris", "regress", {"instances": [1]}, "key 'examples' is expected and was not found"),
        ("nothing", "classify", {"examples": 1}, "Expecting 'examples' value to be an list/array"),  # 400 before 404
        ("iris", "classify", {"examples": []}, "'examples' value is an empty array"),
        ("iris", "classify", {"examples": [1]}, "Example must be JSON object but got JSON Number"),
        (
            "iris",
            "classify",
            {"examples": [{"x": [1, "a"]}]},
            "Unexpected element type in feature: x expecting type: int64",
        ),
        (
            "iris",
            "classify",
            {"examples": [{"x": [1.5, True]}]},
            "Unexpected element type in feature: x expecting type: float",
        ),
        ("iris", "classify", {"examples": [{"x": [2**63]}]}, "Only int64_t is supported"),
        ("iris", "classify", {"examples": [{"x": None}]}, "unexpected JSON type: Null"),
        ("iris", "classify", {"examples": [{"x": [[1]]}]}, "unexpected JSON type: Array"),
        ("iris", "classify", {"examples": [{"x": {"a": 1}}]}, "unexpected JSON type: Object"),
        ("iris", "classify", {"examples": [{"x": {"b64": "$"}}]}, "Unable to base64 decode"),
        ("iris", "classify", {"context": 1, "examples": [{}]}, "Example must be JSON object"),
        ("iris", "classify", {"examples": [{}]}, "Feature: x (data type: float32) is required but could not be found."),
        ("iris", "classify", {"examples": [{"x": []}]}, "is required but could not be found."),
        ("iris", "classify", {"examples": [{"x": [1.0]}]}, "Number of float32 values != expected."),
        ("iris", "classify", {"examples": [{"x": ["a"] * 4}]}, "Data types don't match."),
        ("iris", "classify", {"examples": [{"x": {"b64": "AA=="}}]}, "values != expected"),
        ("iris", "classify", {"examples": [{"x": [1.0] * 4}] * 101}, "101 examples were sent"),
        ("iris", "regress", {"examples": [{"x": [1.0] * 4}]}, "Expected regression signature"),
        ("dense", "classify", {"examples": [{"x": [1.0] * 4}]}, "Expected classification signature"),
        ("pets", "classify", {"examples": [{"image": {"b64": "AAAA"}}]}, "not a picture"),
        ("pets", "classify", {"examples": [{"image": [{"b64": "AAAA"}] * 2}]}, "values != expected"),
        ("pets", "classify", {"examples": [{"image": {"b64": B64}}, {"image": 1}]}, ""),
        ("pets", "classify", {"examples": [{"image": 1.0}]}, "values != expected"),
        ("pets", "classify", {"examples": [{"image": {"b64": B64}}] * 5}, "5 images were sent"),
        ("sequence", "regress", {"signature_name": "other", "examples": [{"tokens": 1}]}, "not found in signature def"),
        ("sequence", "regress", {"examples": [{"tokens": [1]}, {"tokens": [1, 2]}]}, "values != expected"),
        ("sequence", "regress", {"examples": [{"tokens": [1.5]}]}, "Data types don't match."),
    ],
)
def test_wrong_examples(many: FlaskClient, model: str, verb: str, body: Any, message: str) -> None:
    assert message in error(many, f"/v1/models/{model}:{verb}", body)


def test_a_sequence_of_any_length_is_regressed(many: FlaskClient) -> None:
    code, answer = post(
        many, "/v1/models/sequence:regress", {"examples": [{"tokens": [1, 2, 3]}, {"tokens": [4, 5, 6]}]}
    )
    assert code == 200
    assert len(answer["results"]) == 2


def test_a_body_that_is_too_large(half: FlaskClient) -> None:
    assert "larger than" in error(half, f"{HALF}:predict", b" " * 100_001, 413)


def test_a_malformed_body_goes_before_an_unknown_model(half: FlaskClient) -> None:
    assert "Parse error" in error(half, "/v1/models/foo:predict", "{")
    assert "Servable not found" in error(half, "/v1/models/foo:predict", {}, 404)


ANY_JSON = st.recursive(
    st.just({"b64": B64})
    | st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats()
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["x", "b64", "image", "a", "tokens", "text"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["two", "dense", "words", "echo-int64", "sequence", "pets", "iris"]),
    st.sampled_from(["predict", "classify", "regress"]),
    st.sampled_from(["instances", "inputs", "examples", "context", "signature_name"]),
    ANY_JSON,
)
@example("words", "predict", "instances", [{"b64": ""}, "\ud800"])
@example("pets", "classify", "examples", [{"image": {"b64": B64}}, {"image": 1}])
@example("pets", "predict", "instances", [{"b64": B64}, {"image": {"b64": B64}}, [1]])
def test_no_value_is_a_fault_of_ours(many: FlaskClient, model: str, verb: str, key: str, value: Any) -> None:
    body = json.dumps({key: value, **({"examples": [{}]} if key == "context" else {})})
    answer = many.post(f"/v1/models/{model}:{verb}", data=body)
    assert answer.status_code in (200, 400), answer.text
    assert set(json.loads(answer.text)) <= {"error", "predictions", "outputs", "results"}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text('[]{}:,"instance 01eE+-.NaInfity\\ud8', max_size=60))
def test_no_body_is_a_fault_of_ours(half: FlaskClient, body: bytes | str) -> None:
    answer = half.post(f"{HALF}:predict", data=body)
    assert answer.status_code == 400, answer.text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30) | st.from_regex(r"/models/.*(:predict|/metadata)?", fullmatch=True), st.booleans())
def test_no_path_is_a_fault_of_ours(half: FlaskClient, path: str, is_post: bool) -> None:
    answer = half.open(base_url="http://localhost", path="/v1/" + path, method="POST" if is_post else "GET")
    assert answer.status_code < 500, answer.text


# --- The express way ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [{"instances": [1.0]}, {"inputs": [1.0, 2.0]}, {"instances": [{"x": 3}]}, '{"instances": [NaN, 1]} x'],
)
@pytest.mark.parametrize("which", ["", "/versions/123", "/labels/stable"])
def test_the_express_way_answers_as_flask_does(half: FlaskClient, half_app: Flask, body: Any, which: str) -> None:
    data = orjson.dumps(body) if isinstance(body, dict) else body.encode()
    path = f"{HALF}{which}:predict"
    found = half_app.extensions["kiln"]["express"](path, "", {"x-request-id": "same"}, data)
    answer = half.post(path, data=data)
    assert found == (("same", Answer(answer.data)) if answer.status_code == 200 else None)
    assert answer.status_code == (400 if "labels" in which else 200)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{HALF}/versions/0123:predict", b'{"instances": [1]}'),
        (f"{HALF}/versions/124:predict", b'{"instances": [1]}'),
        (f"{HALF}/versions/:predict", b'{"instances": [1]}'),
        (f"{HALF}/labels/none:predict", b'{"instances": [1]}'),
        (f"{HALF}:regress", b'{"examples": [{"x": 1}]}'),
        (f"{HALF}:predict", b'{"instances": ["x"]}'),
        (f"{HALF}:predict", b"{"),
        ("/v1/models/foo:predict", b'{"instances": [1]}'),
    ],
)
def test_all_else_is_flasks(half_app: Flask, path: str, body: bytes) -> None:
    assert half_app.extensions["kiln"]["express"](path, "", {}, body) is None


def test_a_query_is_flasks(half_app: Flask) -> None:
    assert half_app.extensions["kiln"]["express"](f"{HALF}:predict", "a=b", {}, b'{"instances": [1]}') is None


def test_a_split_is_flasks(many_app: Flask) -> None:
    body = orjson.dumps({"instances": [{"b64": B64}]})
    assert many_app.extensions["kiln"]["express"]("/v1/models/pets:predict", "", {}, body) is None
    assert many_app.extensions["kiln"]["express"]("/v1/models/embedding:predict", "", {}, body) is not None


def test_a_version_of_a_split_has_a_way_of_its_own(many_app: Flask, many: FlaskClient) -> None:
    body = orjson.dumps({"instances": [{"b64": B64}]})
    for which in ("versions/1", "versions/2", "labels/stable", "labels/canary"):
        path = f"/v1/models/pets/{which}:predict"
        found = many_app.extensions["kiln"]["express"](path, "", {"x-request-id": "same"}, body)
        answer = many.post(path, data=body)
        assert found == (("same", Answer(answer.data)) if answer.status_code == 200 else None), which
        assert (found is not None) or answer.status_code in (400, 404), which


def test_the_dialect_is_a_label_of_the_metrics(half: FlaskClient, half_app: Flask) -> None:
    def counted() -> float:
        families = text_string_to_metric_families(half.get("/metrics").text)
        samples = (sample for family in families for sample in family.samples)
        return sum(
            s.value for s in samples if s.name == "kiln_answer_seconds_count" and s.labels["dialect"] == "tf_serving"
        )

    before = counted()
    half.post(f"{HALF}:predict", data=b'{"instances": [1]}')
    half_app.extensions["kiln"]["express"](f"{HALF}:predict", "", {}, b'{"instances": [1]}')
    assert counted() == before + 2
