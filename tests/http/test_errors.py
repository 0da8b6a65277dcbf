"""The one form of an error, pinned with a toy app whose routes only raise."""

from __future__ import annotations

import logging

import flask_restful
import pytest
from flask import Flask, abort

from app import dialects, errors
from app.dialects import Dialect, Dialects
from app.settings import Settings
from app.telemetry import recording, request_id
from app.telemetry.timing import KILN
from model import errors as model_errors

pytestmark = pytest.mark.http

RAISED: dict[str, tuple[Exception, int, str]] = {
    "request": (errors.RequestError(418, "teapot", "Ask for coffee elsewhere."), 418, "teapot"),
    "empty": (model_errors.EmptyPicture("m"), 400, "empty_image"),
    "not": (model_errors.NotAPicture("m"), 400, "not_an_image"),
    "broken": (model_errors.BrokenPicture("m"), 400, "broken_image"),
    "small": (model_errors.PictureTooSmall("m"), 400, "image_too_small"),
    "large": (model_errors.PictureTooLarge("m"), 413, "image_too_large"),
    "format": (model_errors.UnsupportedPicture("m"), 415, "unsupported_image_format"),
    "model": (model_errors.UnknownModel("m"), 404, "model_not_found"),
    "version": (model_errors.UnknownVersion("m"), 404, "version_not_found"),
    "ready": (model_errors.ModelNotReady("m"), 503, "model_not_ready"),
    "bundle": (model_errors.BundleError("/secret/path"), 500, "internal_error"),
    "bug": (ZeroDivisionError("/secret/path"), 500, "internal_error"),
}


@pytest.fixture(scope="module")
def toy() -> Flask:
    app = Flask("toy")
    spoken = Dialects((), Dialect(KILN, lambda path: True, lambda *_: None), Settings())
    dialects.install(app, spoken)
    request_id.install(app, spoken.offered_id)
    recording.install(app, recording.Recorder())
    errors.install(app)
    api = errors.Api(app)

    class Restful(flask_restful.Resource):
        def get(self, name: str) -> None:
            raise RAISED[name][0]

    class Abort(flask_restful.Resource):
        def get(self, status: int) -> None:
            abort(status)

    def plain(name: str) -> None:
        raise RAISED[name][0]

    api.add_resource(Restful, "/restful/<name>")
    api.add_resource(Abort, "/abort/<int:status>")
    app.add_url_rule("/plain/<name>", view_func=plain)
    return app


@pytest.mark.parametrize(("path", "status"), [("/theirs", 429), ("/ours", 503)])
def test_a_dialect_says_overload_in_its_own_way(path: str, status: int) -> None:
    app = Flask("busy")
    theirs = Dialect("theirs", lambda path: path == "/theirs", lambda *_: None, overload_status=429)
    spoken = Dialects((theirs,), Dialect(KILN, lambda path: True, lambda *_: None), Settings())
    dialects.install(app, spoken)
    request_id.install(app, spoken.offered_id)
    errors.install(app)

    @app.route(path)
    def busy() -> None:
        raise model_errors.Overloaded("m")

    answer = app.test_client().get(path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "1")


@pytest.mark.parametrize("way", ["restful", "plain"])
@pytest.mark.parametrize("name", RAISED)
def test_every_error_has_the_one_form(toy: Flask, way: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    _, status, code = RAISED[name]
    caplog.set_level(logging.CRITICAL, "kiln")
    answer = toy.test_client().get(f"/{way}/{name}", headers={"X-Request-ID": "abc-1"})
    assert answer.status_code == status
    assert answer.content_type == "application/json"
    assert set(answer.json) == {"error", "request_id"}
    assert set(answer.json["error"]) == {"code", "message"}
    assert answer.json["error"]["code"] == code
    assert answer.json["request_id"] == answer.headers["X-Request-ID"] == "abc-1"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_every_domain_error_has_a_status_and_its_own_code() -> None:
    def children(kind: type) -> list[type]:
        return [kind, *(grandchild for child in kind.__subclasses__() for grandchild in children(child))]

    kinds = children(model_errors.ModelError)
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert len(kinds) >= 10


@pytest.mark.parametrize("status", [400, 403, 404, 405, 406, 408, 413, 415, 429, 500, 503])
def test_http_exceptions_keep_their_status(toy: Flask, status: int) -> None:
    answer = toy.test_client().get(f"/abort/{status}")
    assert answer.status_code == status
    assert answer.json["error"]["message"]


def test_a_wrong_method_names_the_right_ones(toy: Flask) -> None:
    answer = toy.test_client().post("/restful/x")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert answer.json["error"]["code"] == "method_not_allowed"
