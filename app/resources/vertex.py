"""Vertex AI's custom containers: a health check and predictions, at the paths that the platform chooses."""

from __future__ import annotations

from collections.abc import Collection

import orjson
from flask import Response, g, request
from flask_restful import Resource

from model.store import Store

from ..dialects import JSON, Dialect
from ..errors import Api
from ..payloads.body import read_whole
from ..payloads.tf.calls import prepare
from ..payloads.tf.document import parse
from ..payloads.tf.faults import bad
from ..readiness import Readiness
from ..selection import client
from ..settings import Settings


class VertexHealth(Resource):
    """GET, at AIP_HEALTH_ROUTE. 200 while each model that must answer can, else 503 with the reason; nothing else."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def get(self) -> Response:
        """Answer."""
        self._readiness.check()
        return Response(b"{}", mimetype=JSON)


class VertexPredict(Resource):
    """POST, at AIP_PREDICT_ROUTE. {"instances": [...], "parameters": ...} -> {"predictions": [...]}, one for each.

    Instances are TensorFlow Serving's rows; predictions are the model's own outputs. No model of ours has parameters.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def post(self) -> Response:
        """Parse, call the model, render."""
        document = parse(read_whole(request, self._settings))
        if "instances" not in document:
            raise bad("Missing 'instances' key")
        call = prepare("predict", document, self._settings)
        model = self._store.get(client=client(request.environ, self._settings.trusted_proxies))
        g.timing.is_for(model)
        return Response(call(model, g.timing), mimetype=JSON)


def _error(status: int, code: str, message: str, request_id: str) -> bytes:
    return orjson.dumps({"error": message})


def _install(api: Api, store: Store, settings: Settings) -> None:
    if settings.vertex_health:
        readiness = Readiness(store)
        api.add_resource(
            VertexHealth, settings.vertex_health, endpoint="vertex_health", resource_class_args=(readiness,)
        )
    if settings.vertex_predict:
        api.add_resource(
            VertexPredict, settings.vertex_predict, endpoint="vertex_predict", resource_class_args=(store, settings)
        )


def _routes(settings: Settings) -> Collection[str]:
    return set(filter(None, (settings.vertex_health, settings.vertex_predict)))


def _probes(settings: Settings) -> Collection[str]:
    return set(filter(None, (settings.vertex_health,)))


DIALECT = Dialect("vertex", lambda path: False, _install, _error, exact=_routes, probes=_probes)
