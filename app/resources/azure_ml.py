"""Azure Machine Learning's online endpoints: a scoring route beside our own /live and /ready.

A deployment names three routes; these are what it should name. What waits too long is refused with 429.
"""

from __future__ import annotations

from flask import Response, g, request
from flask_restful import Resource

from model.store import Store

from ..dialects import JSON, Dialect
from ..errors import Api
from ..paths import SCORE
from ..scoring import score
from ..settings import Settings


class Score(Resource):
    """POST /score[?model=NAME][&version=N | &label=LABEL][&top=N]

    Body: JSON {"instances": [...]} or {"inputs": ...}, or a picture. 200: as at /predict.
    400, 404, 408, 413, 415: the request is wrong, as there. 429: too many wait. 503: the model is not ready.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def post(self) -> Response:
        """Answer."""
        return Response(score(request, self._store, self._settings, g.timing), mimetype=JSON)


def _install(api: Api, store: Store, settings: Settings) -> None:
    api.add_resource(Score, SCORE, endpoint="azure_ml_score", resource_class_args=(store, settings))


DIALECT = Dialect("azure_ml", lambda path: path == SCORE, _install, overload_status=429)
