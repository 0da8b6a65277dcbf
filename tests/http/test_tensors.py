"""POST /predict for models that take tensors: TensorFlow Serving's rows in, the outputs out."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.telemetry.logs import logger
from model import bundle as bundles
from model import engines

# One group: making the models takes Keras, which one process of the test run should load.
pytestmark = [pytest.mark.http]

PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()


def ask(client: FlaskClient, model: str, instances: list[Any], **query: Any) -> Any:
    return client.post("/predict", json={"instances": instances}, query_string={"model": model, **query})


def predictions(client: FlaskClient, model: str, instances: list[Any]) -> list[Any]:
    answer = ask(client, model, instances)
    assert answer.status_code == 200, answer.text
    assert set(answer.json) == {"model", "predictions", "request_id"}
    assert answer.json["model"]["name"] == model
    return answer.json["predictions"]


def keras(store: Path, model: str, *inputs: Any, version: str = "1") -> tuple[np.ndarray, ...]:
    """The engine's own answer, past all HTTP."""
    bundle = bundles.read(store / model / version)
    arrays = [np.array(values, tensor.dtype) for values, tensor in zip(inputs, bundle.inputs, strict=True)]
    return engines.load("keras", bundle.folder / "model.keras")(*arrays)


def test_one_output_is_its_value(many: FlaskClient, many_store: Path) -> None:
    rows = [[1, 2.5, -3, 4], [0, 0, 1e-3, 0], [1e30, 0, 0, 0]]
    [expected] = keras(many_store, "dense", rows)
    assert predictions(many, "dense", rows) == [pytest.approx(row) for row in expected.tolist()]


def test_an_object_by_name_is_the_same(many: FlaskClient) -> None:
    plain = predictions(many, "dense", [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert predictions(many, "dense", [{"x": [1, 2, 3, 4]}, [5, 6, 7, 8]]) == plain


def test_several_inputs_and_outputs_go_by_name(many: FlaskClient, many_store: Path) -> None:
    a, b = [[1, 2, 3], [4, 5, 6]], [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    p, q = keras(many_store, "two", a, b)
    rows = [{"b": b[0], "a": a[0]}, {"a": a[1], "b": b[1]}]
    assert predictions(many, "two", rows) == [
        {"p": pytest.approx(p[row].tolist()), "q": pytest.approx(float(q[row]))} for row in range(2)
    ]


def test_labels_rank_as_they_do_for_pictures(many: FlaskClient, many_store: Path) -> None:
    row = [1, -2, 3, 4]
    [logits] = keras(many_store, "iris", [row], version="7")
    scores = np.exp(logits[0]) / np.exp(logits[0]).sum()
    [prediction] = predictions(many, "iris", [row])
    assert set(prediction) == {"label", "score", "top"}
    assert {one["label"]: one["score"] for one in prediction["top"]} == pytest.approx(
        dict(zip("abc", scores.tolist(), strict=True)), abs=1e-5
    )
    assert prediction["label"] == prediction["top"][0]["label"] == "abc"[scores.argmax()]
    assert len(ask(many, "iris", [row], top=1).json["predictions"][0]["top"]) == 1


def test_other_outputs_stand_beside_the_labels(many: FlaskClient) -> None:
    answer = many.post("/predict?model=features", data=PHOTO, content_type="image/jpeg")
    [prediction] = answer.json["predictions"]
    assert set(prediction) == {"label", "score", "top", "outputs"}
    assert len(prediction["outputs"]["features"]) == 4


def test_a_picture_without_labels_gets_the_output(many: FlaskClient) -> None:
    answer = many.post("/predict?model=embedding", data=PHOTO, content_type="image/jpeg")
    [prediction] = answer.json["predictions"]
    assert sum(prediction) == pytest.approx(1)


def test_sizes_that_vary(many: FlaskClient) -> None:
    for size in (1, 3, 7):
        [[value]] = predictions(many, "sequence", [[1] * size])
        assert isinstance(value, float)


def test_text_in_and_out(many: FlaskClient) -> None:
    assert predictions(many, "words", ["good bad", "", "große Ähre bad"]) == [
        ["good", "bad", ""],
        ["", "", ""],
        ["?", "?", "bad"],
    ]


@pytest.mark.parametrize(
    ("dtype", "row"),
    [
        ("uint8", [0, 255]),
        ("uint8", [1.0, 2.0]),
        ("int64", [-(2**63), 2**63 - 1]),
        ("uint64", [0, 2**64 - 1]),
        ("float16", [65504, -0.5]),
        ("float64", [1e308, 0.1]),
        ("bool", [True, False]),
    ],
)
def test_the_limits_of_each_dtype_pass_unchanged(many: FlaskClient, dtype: str, row: list[Any]) -> None:
    assert predictions(many, f"echo-{dtype}", [row]) == [row]


def test_numbers_that_json_does_not_have_are_null(many: FlaskClient) -> None:
    first, second = predictions(many, "exponential", [[0], [1000]])
    assert first == {"power": [1.0], "rest": [0.0]}
    assert second == {"power": [None], "rest": [None]}


def test_scores_that_rank_nothing_have_no_label(many: FlaskClient) -> None:
    good, bad = predictions(many, "iris", [[0, 0, 0, 0], [3e38, 3e38, -3e38, 3e38]])
    assert good["label"] in "abc"
    assert bad == {"label": None, "score": None, "top": []}


BAD: dict[str, tuple[str, list[Any], list[str]]] = {
    "too short": ("dense", [[1, 2, 3]], ["instances[0] is a list of 3 where 4 belong", "'x' of float32", "[4]"]),
    "too long": ("dense", [[1, 2, 3, 4], [1, 2, 3, 4, 5]], ["instances[1] is a list of 5 where 4 belong"]),
    "too flat": ("dense", [1], ["instances[0] is a number where a list belongs"]),
    "too nested": ("dense", [[[1], [2], [3], [4]]], ["instances[0][0] is a list where a number belongs"]),
    "a batch as an instance": ("dense", [[[1, 2, 3, 4]]], ["instances[0] is a list of 1 where 4 belong"]),
    "text": ("dense", [[1, "2", 3, 4]], ["instances[0][1] is text where a number belongs"]),
    "null": ("dense", [[1, 2, 3, None]], ["instances[0][3] is null where a number belongs"]),
    "null instance": ("dense", [None], ["instances[0] is null where a list belongs"]),
    "bool": ("dense", [[True, 2, 3, 4]], ["instances[0][0] is true or false where a number belongs"]),
    "object": ("dense", [[{}, 2, 3, 4]], ["instances[0][0] is an object where a number belongs"]),
    "over float32": ("dense", [[0, 1e39, 0, 0]], ["instances[0][1] is 1e+39", "float32"]),
    "a huge integer": ("dense", [[0, 10**300, 0, 0]], ["instances[0][1] is 1e+300"]),
    "every problem": (
        "dense",
        [[1], [1, 2, 3, 4], "x", [1, 2, 3, [4]]],
        ["instances[0] is a list of 1", "instances[2] is text", "instances[3][3] is a list"],
    ),
    "unknown name": ("dense", [{"z": [1, 2, 3, 4]}], ["instances[0] lacks 'x' and has 'z'"]),
    "a picture": ("dense", [{"b64": "AAAA"}], ["lacks 'x' and has 'b64'"]),
    "names missing": ("two", [{"a": [1, 2, 3]}, {"b": [[1, 2], [3, 4]]}], ["[0] lacks 'b'", "[1] lacks 'a'"]),
    "no names": ("two", [[1, 2, 3]], ["instances[0] is not an object", "'a' of float32", "'b' of int32"]),
    "faults in both": (
        "two",
        [{"a": [1, 2], "b": [[1, 2], [3]]}],
        ["instances[0].a is a list of 2 where 3 belong", "instances[0].b[1] is a list of 1 where 2 belong"],
    ),
    "a name and a value": (
        "two",
        [{"a": [1, 2], "c": 0}],
        ["instances[0] lacks 'b' and has 'c'", "instances[0].a is a list of 2 where 3 belong"],
    ),
    "a fraction": (
        "two",
        [{"a": [1, 2, 3], "b": [[1, 2], [3, 4.5]]}],
        ["instances[0].b[1][1] is 4.5", "an integer from -2147483648"],
    ),
    "out of range": (
        "echo-uint8",
        [[0, 256], [-1, 0]],
        ["instances[0][1] is 256", "instances[1][0] is -1", "0 to 255"],
    ),
    "out of int64": ("echo-int64", [[2**63, 2**70]], ["instances[0][0] is 9223372036854775808", "instances[0][1] is"]),
    "over float16": ("echo-float16", [[0, 65536]], ["instances[0][1] is 65536", "float16"]),
    "one for true": ("echo-bool", [[1, True]], ["instances[0][0] is a number where true or false belongs"]),
    "ragged": ("sequence", [[1, 2], [1, 2, 3]], ["instances[1] is a list of 3 where the first has 2"]),
    "empty": ("sequence", [[]], ["instances[0] is an empty list"]),
    "numbers as text": ("words", [5, ["good"]], ["[0] is a number where text belongs", "[1] is a list where text"]),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named_with_its_place(many: FlaskClient, name: str) -> None:
    model, instances, parts = BAD[name]
    answer = ask(many, model, instances)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_instances"), answer.text
    for part in parts:
        assert part in answer.json["error"]["message"]


def test_of_many_problems_twenty_are_named(many: FlaskClient) -> None:
    for row in ([], [1, 2, 3, None], [1, 2, 3, 1e300], {}):
        message = ask(many, "dense", [row] * 100).json["error"]["message"]
        assert message.count("instances[") == 20


@pytest.mark.parametrize(
    ("body", "code", "part"),
    [
        (b'{"instances": [[NaN, 1, 2, 3]]}', "broken_json", "no NaN"),
        (b'{"instances": [[1, 2, 3, -Infinity]]}', "broken_json", "no NaN and no Infinity"),
        (b'{"instances": [[1e999, 1, 2, 3]]}', "broken_json", "infinity"),
        (b'{"instances": [[1, 2, 3, 4]', "broken_json", "not JSON"),
        (b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}", "broken_json", "depth"),
        (b'{"instances": ' + b"[" * 900 + b"]" * 900 + b"}", "bad_instances", "where 4 belong"),
        (b'{"instances": {"x": [1, 2, 3, 4]}}', "bad_instances", '{"instances":[[0.5,0.5,0.5,0.5]]}'),
        (b'{"inputs": [[1, 2, 3, 4]]}', "bad_instances", "instances"),
        (b'{"instances": []}', "no_instances", "[[0.5,0.5,0.5,0.5]]"),
        (b'{"instances": [' + b"[1,2,3,4]," * 100 + b"[1,2,3,4]]}", "too_many_instances", "at most 100"),
        (b"", "broken_json", "not JSON"),
    ],
)
def test_bodies_that_are_no_instances(many: FlaskClient, body: bytes, code: str, part: str) -> None:
    answer = many.post("/predict?model=dense", data=body, content_type="application/json")
    assert (answer.status_code, answer.json["error"]["code"]) == (400, code)
    assert part in answer.json["error"]["message"]


@pytest.mark.parametrize("kind", ["image/jpeg", "multipart/form-data; boundary=x", "text/plain", None])
def test_a_picture_for_a_model_of_tensors_is_refused(many: FlaskClient, kind: str | None) -> None:
    answer = many.post("/predict?model=two", data=PHOTO, content_type=kind)
    assert (answer.status_code, answer.json["error"]["code"]) == (415, "unsupported_media_type")
    assert '{"instances":[{"a":[0.5,0.5,0.5],"b":[[0,0],[0,0]]}]}' in answer.json["error"]["message"]


def test_a_tensor_for_a_model_of_pictures_is_refused(many: FlaskClient) -> None:
    answer = ask(many, "pets", [np.zeros((16, 16, 3)).tolist()])
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_instances")
    assert "takes pictures" in answer.json["error"]["message"]


def test_top_needs_labels(many: FlaskClient) -> None:
    answer = ask(many, "dense", [[1, 2, 3, 4]], top=1)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_top")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "x"]), inner, max_size=3),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    model=st.sampled_from(["dense", "iris", "two", "words", "echo-uint8", "echo-float16", "echo-bool", "pets"]),
    values=st.lists(json_values, max_size=3),
)
def test_any_instances_are_answered_or_refused(many: FlaskClient, model: str, values: list[Any]) -> None:
    body = json.dumps({"instances": values})  # Python writes NaN and Infinity, too
    answer = many.post(f"/predict?model={model}", data=body, content_type="application/json")
    assert answer.status_code in (200, 400), answer.text


@pytest.mark.parametrize("index", [10, -1])
def test_an_index_that_the_model_lacks_says_so(many: FlaskClient, index: int) -> None:
    answer = ask(many, "sequence", [[1, index]])
    assert answer.status_code in (200, 400), answer.text  # an engine may as well read another row
    if answer.status_code == 400:
        assert answer.json["error"]["code"] == "inference_failed"


def test_an_engine_s_failure_is_logged_once_and_shortly(many: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    logger.addHandler(caplog.handler)
    try:
        for _ in range(3):
            caplog.clear()
            if ask(many, "sequence", [[1, 10]]).status_code == 200:
                pytest.skip("this engine reads another row for an index that there is not")
            [record] = caplog.records
            assert record.levelno == logging.WARNING
            assert record.getMessage().startswith("model sequence version 1: the engine failed: ")
            assert len(record.getMessage()) <= 1000
            assert not record.exc_info
    finally:
        logger.removeHandler(caplog.handler)
