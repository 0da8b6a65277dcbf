"""The OpenAPI document of a service with many models: valid, and true of each kind of model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import strategies as st
from openapi_spec_validator import validate

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
