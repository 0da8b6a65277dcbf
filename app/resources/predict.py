"""POST /predict: pictures or tensors in, labels with scores or the model's own outputs out."""

from __future__ import annotations

from flask import Response, g, request
from flask_restful import Resource

from model.store import Store

from ..dialects import Answer, Quick
from ..payloads.body import read_whole
from ..payloads.pictures import read_pictures
from ..payloads.tensors import read_tensors
from ..predictions import DEFAULT_TOP, answer, decode
from ..selection import select, top_of
from ..settings import Settings
from ..telemetry.timing import Timing

ROUTE = "/predict"


class Predict(Resource):
    """POST /predict[?model=NAME][&version=N | &label=LABEL][&top=N]

    Body for a model that takes pictures: one or more as multipart/form-data (field `image` or `file`), one as a raw
    body, or JSON {"instances": [{"b64": "..."}]}. For one that takes tensors: JSON {"instances": [...]}, each the
    value of its input, or an object with the value of each.

    200: {"model": {"name", "version"}, "predictions": [...], "request_id"}; predictions are in the order of the
    instances. With labels each is {"label", "score", "top": [{"label", "score"}]}, and "outputs" where the model has
    more than scores; without labels it is the value of the output, or an object with the value of each.
    400: the request, a picture or a tensor is wrong, or the engine failed on the values that were sent. 404: no such
    model, version or label; it lists what there is. 408: the body came too slowly. 413: the body or a picture is too
    large. 415: a media type, content encoding or picture format that is not taken. 503: the model is not ready; try
    again.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def post(self) -> Response:
        """Parse, call the model, render."""
        body = read_whole(request, self._settings)
        model = select(request, self._store, self._settings.trusted_proxies)
        g.timing.is_for(model)
        if model.bundle.preprocessing is None:
            tensors = read_tensors(request, body, model, self._settings)
            content = answer(model, tensors, top_of(request, model), g.timing)
        else:
            pictures = read_pictures(request, body, self._settings)
            top = top_of(request, model)
            content = answer(model, (decode(model, pictures, g.timing),), top, g.timing)
        return Response(content, mimetype="application/json")


def quick(store: Store, settings: Settings) -> Quick:
    """The express way of one picture as a raw body."""

    def answer_picture(path: str, fields: dict[str, str], body: bytes, timing: Timing) -> Answer | None:
        if path != ROUTE or not fields.get("content-type", "").startswith("image/") or store.split(store.default):
            return None  # who gets which version of a split is found out elsewhere
        timing.route = ROUTE
        model = store.get()
        timing.is_for(model)
        top = min(DEFAULT_TOP, len(model.bundle.labels))
        return Answer(answer(model, (decode(model, [body], timing),), top, timing))

    return answer_picture
