"""GET /: the demo page."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Response, make_response, render_template, request
from flask_restful import Resource

from model.store import Model, Store

from ..payloads.tensors import example
from ..selection import NAMES, select, served
from ..settings import Settings

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Demo(Resource):
    """GET /[?model=NAME][&version=N | &label=LABEL]. A page to try a model with, the default one first.

    It uses nothing but this server, by relative addresses. Where the default model takes no photos, the first one that
    does is shown; a model that has no labels for a photo shows how to ask it from a terminal.
    404: no such model, version or label. 503: the model asked for is not ready.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def get(self) -> Response:
        """Render the page, also while no model is ready."""
        models = served(self._store)
        query = {name: request.args[name] for name in NAMES if name in request.args}
        model = select(request, self._store, self._settings.trusted_proxies) if query else _first(models)
        if model and not query and model.bundle.name != self._store.default:
            query = {"model": model.bundle.name}
        answer = make_response(
            render_template(
                "demo.html" if model is None or _names_photos(model) else "tensors.html",
                labels=model.bundle.labels if model else (),
                model_name=model.bundle.name if model else self._settings.model,
                model_version=model.bundle.version if model else "",
                names=sorted(one.bundle.name for one in models),
                action="predict" + (f"?{urlencode(query)}" if query else ""),
                takes_photos=model is not None and model.bundle.preprocessing is not None,
                takes_text=model is not None and all(tensor.dtype == "string" for tensor in model.bundle.inputs),
                body="" if model is None or model.bundle.preprocessing else example(model),
                max_body_bytes=self._settings.max_body_bytes,
            )
        )
        answer.headers["Content-Security-Policy"] = _POLICY
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["X-Frame-Options"] = "DENY"  # for browsers that do not know frame-ancestors
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def _names_photos(model: Model) -> bool:
    return model.bundle.preprocessing is not None and bool(model.bundle.labels)


def _first(models: list[Model]) -> Model | None:
    """The first that names photos, else the first of all."""
    return next(filter(_names_photos, models), models[0] if models else None)
