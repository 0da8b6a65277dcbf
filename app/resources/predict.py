"""POST /predict: pictures or tensors in, labels with scores or the model's own outputs out."""

from __future__ import annotations

from urllib.parse import parse_qsl

from flask import Response, g, request
from flask_restful import Resource
from werkzeug.datastructures import MultiDict

from model.store import Model, Store

from ..dialects import JSON, Answer, Posted, Quick
from ..payloads.body import read_whole
from ..payloads.media import MediaType, media_type
from ..payloads.pictures import read_pictures
from ..payloads.tensors import read_tensors
from ..predictions import answer, decode
from ..selection import named, select, top_of
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
        kind = media_type(request.headers.get("Content-Type"))
        return Response(_predicted(body, kind, model, request.args, self._settings, g.timing), mimetype=JSON)


def quick(store: Store, settings: Settings) -> Quick:
    """The express way of a prediction, in any of the forms that are taken."""

    def answer_prediction(posted: Posted, timing: Timing) -> Answer | None:
        if posted.path != ROUTE:
            return None
        query = MultiDict(parse_qsl(posted.query, keep_blank_values=True)) if posted.query else _NO_QUERY
        asked = named(query)
        if asked.version is None and asked.label is None and store.split(asked.model or store.default):
            return None  # who gets which version of a split is found out elsewhere
        timing.route = ROUTE
        model = store.get(*asked)
        timing.is_for(model)
        kind = media_type(posted.fields.get("content-type"))
        return Answer(_predicted(posted.body, kind, model, query, settings, timing))

    return answer_prediction


_NO_QUERY: MultiDict[str, str] = MultiDict()


def _predicted(
    body: bytes, kind: MediaType, model: Model, query: MultiDict[str, str], settings: Settings, timing: Timing
) -> bytes:
    """Parse, call the model, render."""
    if model.bundle.preprocessing is None:
        tensors = read_tensors(body, kind, model, settings)
        return answer(model, tensors, top_of(query, model), timing)
    pictures = read_pictures(body, kind, settings)
    top = top_of(query, model)
    return answer(model, (decode(model, pictures, timing),), top, timing)
