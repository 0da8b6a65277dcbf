"""GET /openapi.json: what the service does, in OpenAPI 3.1."""

from __future__ import annotations

from flask import Response, jsonify
from flask_restful import Resource

from model.store import Store

from ..dialects import Dialects
from ..selection import served
from ..settings import Settings


class OpenApi(Resource):
    """GET /openapi.json."""

    def __init__(self, store: Store, settings: Settings, dialects: Dialects) -> None:
        self._store = store
        self._settings = settings
        self._dialects = dialects

    def get(self) -> Response:
        """Answer."""
        from ..openapi.document import document  # seldom asked for, and workers are to start fast

        return jsonify(document(served(self._store), self._settings, self._dialects))
