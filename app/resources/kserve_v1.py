"""KServe's V1 protocol: which models there are, whether one is ready, predict.

Its paths are TensorFlow Serving's, too. Where both are on, that one answers on the paths of a model, unless
KILN_V1_STATUS says otherwise; the list is KServe's alone.
"""

from __future__ import annotations

import orjson
from flask import Response, g, jsonify, request
from flask_restful import Resource

from model.errors import ModelNotReady, UnknownModel
from model.store import Model, Store

from ..dialects import JSON, Dialect
from ..errors import Api, RequestError
from ..payloads.body import read_body
from ..payloads.tf.calls import prepare
from ..payloads.tf.document import parse, unpacked
from ..payloads.tf.quick import ROUTE, newest
from ..selection import client
from ..settings import Settings

_MODELS = "/v1/models"


class KServeModels(Resource):
    """GET /v1/models. {"models": [name, ...]}, ready or not."""

    provide_automatic_options = False  # OPTIONS is TensorFlow Serving's matter where that is on

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self) -> Response:
        """Answer."""
        return jsonify(models=self._store.names())


class KServeModel(Resource):
    """GET /v1/models/NAME. {"name", "ready": true}; 503 until it is, 404 where there is none."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str) -> Response:
        """Answer."""
        _get(self._store, name)
        return jsonify(name=name, ready=True)


class KServePredict(Resource):
    """POST /v1/models/NAME:predict with {"instances": [...]} -> {"predictions": [...]}.

    400: the body or a value is wrong. 404: no such model. 408, 413: the body came too slowly, or is too large. 503: the
    model is not ready, or too many requests wait for it.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def post(self, name: str) -> Response:
        """Parse, call the model, render."""
        body = read_body(request, self._settings)
        encoding = request.headers.get("Content-Encoding", "")
        call = prepare("predict", parse(unpacked(body, encoding, self._settings.max_body_bytes)), self._settings)
        model = _get(self._store, name, client(request.environ, self._settings.trusted_proxies))
        g.timing.is_for(model)
        return Response(call(model, g.timing), mimetype=JSON)


class KServeExplain(Resource):
    """POST /v1/models/NAME:explain. 501: no model here explains itself."""

    def post(self, name: str) -> Response:
        """Refuse."""
        raise RequestError(501, "not_implemented", f"Model with name {name} does not explain its predictions.")


def _get(store: Store, name: str, asker: str = "") -> Model:
    try:
        return store.get(name, client=asker)
    except UnknownModel as unknown:
        raise RequestError(404, unknown.code, f"Model with name {name} does not exist.") from unknown
    except ModelNotReady as unready:
        raise RequestError(503, unready.code, f"Model with name {name} is not ready.") from unready


def _error(status: int, code: str, message: str, request_id: str) -> bytes:
    return orjson.dumps({"error": message})


def _owns(path: str) -> bool:
    return path == _MODELS or path.startswith(f"{_MODELS}/")


def _install(api: Api, store: Store, settings: Settings) -> None:
    api.add_resource(KServeModels, _MODELS, resource_class_args=(store,))
    form = settings.v1_form()
    if form == "kserve":
        api.add_resource(KServeModel, f"{_MODELS}/<name>", resource_class_args=(store,))
        api.add_resource(KServePredict, ROUTE, resource_class_args=(store, settings))
        api.add_resource(KServeExplain, f"{_MODELS}/<name>:explain")
    if form != "tf_serving":
        api.app.before_request(_alive)


def _alive() -> Response | None:
    """GET / is KServe's question whether the server lives; browsers, which ask for HTML, get the page."""
    if request.path == "/" and request.method == "GET" and "text/html" not in request.headers.get("Accept", ""):
        return jsonify(status="alive")
    return None


DIALECT = Dialect("kserve_v1", _owns, _install, _error, newest)
