"""The OpenAPI document of a service with many models: valid, and true of each kind of model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import strategies as st
from openapi_spec_validator import validate

from app.openapi import examples
from app.openapi.document import document
from tests.cases import whole

# One group: making the models takes Keras, which one process of the test run should load.
pytestmark = [pytest.mark.http]

TENSORS = ["dense", "iris", "two", "sequence", "words", "echo-uint8", "echo-int64", "echo-float16", "echo-bool"]


def documented(app: Flask, name: str) -> dict[str, Any]:
    """The document of a service that has this one model."""
    kiln = app.extensions["kiln"]
    return document([kiln["store"].get(name)], kiln["settings"], kiln["dialects"])


def test_the_document_of_many_is_valid(many: FlaskClient) -> None:
    found = many.get("/openapi.json").json
    validate(found)
    parameters = {one["name"]: one for one in found["paths"]["/predict"]["post"]["parameters"]}
    assert parameters.keys() >= {"model", "version", "label", "X-Client-ID", "X-Deadline-Ms", "X-Request-ID"}
    names = parameters["model"]["schema"]
    assert names["default"] == names["enum"][0] == "pets"
    assert "broken" not in names["enum"]


@pytest.mark.parametrize("name", [*TENSORS, "pets", "features", "embedding"])
def test_the_document_of_each_kind_is_valid(many_app: Flask, name: str) -> None:
    validate(documented(many_app, name))


@pytest.mark.parametrize("form", ["tf_serving", "both", "kserve"])
def test_every_url_is_in_the_document(make_app: Callable[..., Flask], form: str) -> None:
    app = make_app(v1_status=form, vertex_health="/healthy", vertex_predict="/predictions")
    kiln = app.extensions["kiln"]
    found = document([kiln["store"].get()], kiln["settings"], kiln["dialects"])
    validate(found)
    served = {rule.rule.replace("<", "{").replace(">", "}") for rule in app.url_map.iter_rules()}
    left_out = {
        "/static/{path:filename}",  # the page's own
        "/{any(v1,V1):prefix}/{anything:rest}",  # malformed requests
        "/v2/",  # another spelling
        "/v1/models/{name}:explain",  # 501
    }
    assert served - found["paths"].keys() <= left_out


def test_everything_but_a_probe_may_wait_until_its_deadline(many_app: Flask) -> None:
    paths = documented(many_app, "pets")["paths"]
    answers = {(path, verb): one["responses"] for path, verbs in paths.items() for verb, one in verbs.items()}
    never = {path for (path, _), codes in answers.items() if "503" not in codes}
    assert never == {"/live", "/metrics", "/v2/health/live", "/pre-freeze", "/pre-stop"}


def test_a_model_of_tensors_takes_nothing_but_json(many_app: Flask) -> None:
    assert list(documented(many_app, "two")["paths"]["/predict"]["post"]["requestBody"]["content"]) == [
        "application/json"
    ]


def posted(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, media type and description of every body that is posted."""
    for path, verbs in found["paths"].items():
        for kind, media in verbs.get("post", {}).get("requestBody", {}).get("content", {}).items():
            yield path, kind, media


@pytest.mark.parametrize("name", [*TENSORS, "pets", "features", "embedding"])
def test_the_service_answers_every_example(
    make_app: Callable[..., Flask], many_store: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(many_store / name, tmp_path / name)
    app = make_app(store=tmp_path, model=name, vertex_predict="/predictions")
    client, model = app.test_client(), app.extensions["kiln"]["store"].get(name)
    label = next(iter(app.extensions["kiln"]["store"].labels(name)), "")
    asked = set()
    for path, kind, media in posted(client.get("/openapi.json").json):
        if "example" not in media or ("{label}" in path and not label):
            continue
        url = path.format(name=name, version=model.bundle.version, label=label)
        body = media["example"] if isinstance(media["example"], str) else json.dumps(media["example"])
        answer = client.post(url, data=body, content_type=kind)
        assert answer.status_code == 200, f"{url}, {kind}, {body}: {answer.text}"
        asked.add((path, kind))
    json_paths = {"/predict", "/score", "/invoke", "/invocations", "/predictions", "/v1/models/{name}:predict"}
    if name != "echo-float16":  # which has no form in the protocol's JSON
        json_paths |= {"/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer"}
    assert {(path, "application/json") for path in json_paths} <= asked
    assert ("/invocations", "application/jsonlines") in asked
    assert (("/v1/models/{name}:classify", "application/json") in asked) is bool(model.bundle.labels)
    validate(documented(app, name))


def test_every_body_of_the_shipped_model_has_an_example_but_those_that_are_no_text(app: Flask) -> None:
    kiln = app.extensions["kiln"]
    found = document([kiln["store"].get()], kiln["settings"], kiln["dialects"])
    without = {(path, kind) for path, kind, media in posted(found) if "example" not in media}
    binary = ("image/", "multipart/", "application/octet-stream", "application/x-npy")
    assert {path for path, kind in without if not kind.startswith(binary)} == {
        "/v1/models/{name}:regress",  # it has labels
        "/v1/models/{name}/versions/{version}:regress",
        "/v1/models/{name}/labels/{label}:regress",
        "/v2/repository/models/{name}/load",  # they need no body
        "/v2/repository/models/{name}/unload",
    }


def test_an_example_of_very_many_values_is_left_out(many_app: Flask) -> None:
    one = many_app.extensions["kiln"]["store"].get("dense").bundle.inputs[0]
    large = one._replace(shape=(None, 224, 224, 3))
    model = SimpleNamespace(bundle=SimpleNamespace(inputs=(large,), preprocessing=None))
    assert examples.instances([model]) is None
    assert examples.infer([model]) is None


def one_size(instances: list[Any]) -> bool:
    """Sizes that vary must be the same within a request, which a schema cannot say."""
    rows = [row["tokens"] if isinstance(row, dict) else row for row in instances]
    return len({len(row) for row in rows}) == 1 and all(0 <= index < 10 for row in rows for index in row)


PATHS = ["/predict", "/v1/models/{name}:predict"]


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", TENSORS)
def test_what_it_allows_is_taken_and_the_answer_is_as_it_says(many_app: Flask, name: str, path: str) -> None:
    operation = schemathesis.openapi.from_dict(documented(many_app, name))[path]["POST"]

    @hypothesis.settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[hypothesis.HealthCheck.filter_too_much, hypothesis.HealthCheck.too_slow],
    )
    @hypothesis.given(case=operation.as_strategy(), data=st.data())
    def check(case: schemathesis.Case, data: st.DataObject) -> None:
        if name == "sequence":
            rows = st.integers(1, 5).flatmap(
                lambda size: st.lists(st.lists(st.integers(0, 9), min_size=size, max_size=size), min_size=1, max_size=3)
            )
            case.body = {"instances": data.draw(rows)}
        if path == "/predict":
            case.query = {"model": name}
        else:
            case.body = whole(case.body)
        answer = case.call_and_validate(app=many_app)
        assert answer.status_code == 200, answer.text

    check()


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", TENSORS)
def test_what_it_forbids_is_refused(many_app: Flask, name: str, path: str) -> None:
    operation = schemathesis.openapi.from_dict(documented(many_app, name))[path]["POST"]

    @hypothesis.settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @hypothesis.given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(app=many_app)

    check()
