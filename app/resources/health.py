"""Live, ready, version: three questions, three answers."""

from __future__ import annotations

import platform

from flask import Response, jsonify
from flask_restful import Resource

from model.store import State, Store

from .. import release
from ..readiness import Readiness


class Live(Resource):
    """GET /live. 200 as long as this worker answers at all; says nothing about the model."""

    def get(self) -> Response:
        """Answer."""
        return jsonify(status="live")


class Ready(Resource):
    """GET /ready. 200 when every model that must answer does, in a proven version; 503 with the reason until then.

    503, too, from the moment on that the node is about to stop, while it still answers.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._readiness = Readiness(store)

    def get(self) -> Response:
        """Answer."""
        self._readiness.check()
        ready = [version for version in self._store.versions() if version.state is State.AVAILABLE]
        return jsonify(status="ready", models=[{"name": v.name, "version": v.version, "state": v.state} for v in ready])


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
        return jsonify(kiln=release.VERSION, build=release.build(), python=platform.python_version(), models=models)
