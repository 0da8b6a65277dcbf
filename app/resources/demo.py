"""GET /: the demo page."""

from __future__ import annotations

from flask import Response, make_response, render_template
from flask_restful import Resource

from model.errors import ModelError
from model.store import Store

from ..settings import Settings

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Demo(Resource):
    """GET /. A page to try the model with; it uses nothing but this server, by relative addresses."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def get(self) -> Response:
        """Render the page, also while the model is not ready."""
        try:
            bundle = self._store.get().bundle
            labels, version = list(bundle.labels), bundle.version
        except ModelError:
            labels, version = [], ""
        page = render_template(
            "demo.html",
            labels=labels,
            model_name=self._settings.model,
            model_version=version,
            max_body_bytes=self._settings.max_body_bytes,
        )
        answer = make_response(page)
        answer.headers["Content-Security-Policy"] = _POLICY
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Cache-Control"] = "no-cache"
        return answer
