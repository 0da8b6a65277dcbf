"""Alibaba Cloud's Function Compute, custom runtimes and containers: events, and the hooks of an instance's life.

HTTP triggers pass a caller's request through to whatever path it names; events come to /invoke. With every call come
its request id, which becomes ours, and credentials in x-fc- headers, which nothing here reads or logs.
"""

from __future__ import annotations

import sys

from flask import Response, g, jsonify, request
from flask_restful import Resource

from model.store import Store

from ..dialects import JSON, Dialect
from ..errors import Api
from ..paths import INITIALIZE, INVOKE, PRE_FREEZE, PRE_STOP
from ..readiness import Readiness
from ..scoring import score
from ..settings import Settings

HOOKS = frozenset({INITIALIZE, PRE_FREEZE, PRE_STOP})
ID = "X-Fc-Request-Id"
_CONTROL = "X-Fc-Control-Path"
_STATUS = "X-Fc-Status"
_CALLS = {INITIALIZE: "Initialize", PRE_FREEZE: "PreFreeze", PRE_STOP: "PreStop"}


class Invoke(Resource):
    """POST /invoke. An event: JSON {"instances": [...]} or {"inputs": ...}, or a picture. 200: as at /predict."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def post(self) -> Response:
        """Answer."""
        return Response(score(request, self._store, self._settings, g.timing), mimetype=JSON)


class Initialize(Resource):
    """POST /initialize. 200 when every model that must answer can, else 503 with the reason: the instance fails."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def post(self) -> Response:
        """Answer."""
        self._readiness.check()
        return jsonify(status="ready")


class Hook(Resource):
    """GET /pre-freeze and /pre-stop. 200: there is nothing to do that SIGTERM does not do."""

    def get(self) -> Response:
        """Answer."""
        return jsonify(status="ok")


def _install(api: Api, store: Store, settings: Settings) -> None:
    api.add_resource(Invoke, INVOKE, endpoint="fc_invoke", resource_class_args=(store, settings))
    api.add_resource(Initialize, INITIALIZE, endpoint="fc_initialize", resource_class_args=(Readiness(store),))
    api.add_resource(Hook, PRE_FREEZE, PRE_STOP, endpoint="fc_hook")
    logs = settings.platform == "function_compute"  # elsewhere the log has JSON alone

    @api.app.before_request
    def begin() -> None:
        if ID in request.headers:
            g.fc_call = _CALLS.get(request.path, "Invoke")
            if logs:
                _log("Start")

    @api.app.after_request
    def end(answer: Response) -> Response:
        if "fc_call" in g:
            answer.headers[_STATUS] = "404" if _failed(answer.status_code) else "200"
            if logs:
                _log("End")
        return answer


def _failed(status: int) -> bool:
    """Has the function failed, or has it said to an HTTP client what is wrong with its request?"""
    passed_through = request.headers.get(_CONTROL, "") == "/http-invoke"
    return status >= (500 if passed_through else 400)


def _log(what: str) -> None:
    """The line by which the platform finds a call's part of the log. One write, so that workers' lines do not mix."""
    sys.stdout.write(f"FC {g.fc_call} {what} RequestId: {g.request_id}\n")
    sys.stdout.flush()


DIALECT = Dialect(
    "function_compute",
    lambda path: path in (INVOKE, *HOOKS),
    _install,
    probes=lambda settings: HOOKS,
    id_header=ID,
)
