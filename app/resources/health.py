"""Live, ready, version: three questions, three answers."""

from __future__ import annotations

import platform

from flask import Response, jsonify
from flask_restful import Resource

from model.errors import ModelError
from model.store import State, Store

from .. import release
from ..errors import response


class Live(Resource):
    """GET /live. 200 as long as this worker answers at all; says nothing about the model."""

    def get(self) -> Response:
        """Answer."""
        return jsonify(status="live")


class Ready(Resource):
    """GET /ready. 200 when the default model can answer and no other one is on its way; 503 with the reason until then.

    A further version, or a model beside the default one, that has failed does not take a worker out of service.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self) -> Response:
        """Answer."""
        store = self._store
        reasons = [reason for name in store.names() if (reason := self._waits_for(name))]
        try:
            store.get()
        except ModelError as error:
            reasons.append(error.message)
        if reasons:
            return response(503, "not_ready", "; ".join(reasons))
        models = [{"name": v.name, "version": v.version, "state": v.state} for v in store.versions()]
        return jsonify(status="ready", models=models)

    def _waits_for(self, name: str) -> str:
        """The version that a model without any AVAILABLE one waits for; empty where it waits for none."""
        versions = self._store.versions(name)
        if any(version.state is State.AVAILABLE for version in versions):
            return ""
        coming = (v for v in versions if v.state in (State.START, State.LOADING))
        return next((f"{name} version {v.version}: {v.state}, {v.reason}" for v in coming), "")


class Version(Resource):
    """GET /version. What runs here."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self) -> Response:
        """Answer."""
        models = [
            {
                "name": v.name,
                "version": v.version,
                "state": v.state,
                "engine": v.model.engine_name if v.model else None,
            }
            for v in self._store.versions()
        ]
        return jsonify(kiln=release.VERSION, python=platform.python_version(), models=models)
