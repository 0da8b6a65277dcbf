"""POST /predict: pictures in, labels with scores out."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import orjson
from flask import Response, g, request
from flask_restful import Resource

from model.store import Model, Store

from ..errors import RequestError
from ..payloads import read_pictures
from ..settings import Settings
from ..telemetry import metrics

DEFAULT_TOP = 5


class Predict(Resource):
    """POST /predict[?top=N]

    Body: one or more pictures as multipart/form-data (field `image` or `file`), one as a raw body, or JSON
    {"instances": [{"b64": "..."}]}.

    200: {"model": {"name", "version"}, "predictions": [{"label", "score", "top": [{"label", "score"}]}],
    "request_id"}; predictions are in the order of the pictures.
    400: the request or a picture is wrong. 408: the body came too slowly. 413: the body or a picture is too
    large. 415: a media type or picture format that is not taken. 503: the model is not ready; try again.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def post(self) -> Response:
        """Parse, call the model, render."""
        model = self._store.get(self._settings.model)
        pictures = read_pictures(request, self._settings)
        top = _top(len(model.bundle.labels))
        return Response(answer(model, pictures, top, g.request_id), mimetype="application/json")


def answer(model: Model, pictures: Sequence[bytes], top: int, request_id: str) -> bytes:
    """Decode, infer, render: the JSON body of a 200. Raises the PictureError of a picture that cannot be used."""
    started = time.perf_counter()
    batch = model.prepare(pictures)
    decoded = time.perf_counter()
    scores = model.classify(batch)
    metrics.observe_stages(decoded - started, time.perf_counter() - decoded, len(pictures))
    body = {
        "model": {"name": model.bundle.name, "version": model.bundle.version},
        "predictions": [_prediction(row, model.bundle.labels, top) for row in scores],
        "request_id": request_id,
    }
    return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)


def _top(count: int) -> int:
    text = request.args.get("top")
    if text is None:
        return min(count, DEFAULT_TOP)
    # isdecimal alone would take digits of any script
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= count):
        raise RequestError(400, "bad_top", f"top must be an integer from 1 to {count}, the number of labels.")
    return int(text)


def _prediction(row: np.ndarray, labels: tuple[str, ...], top: int) -> dict[str, object]:
    order = row.argsort(kind="stable")[::-1][:top].tolist()
    ranked = [{"label": labels[index], "score": float(row[index])} for index in order]
    return {**ranked[0], "top": ranked}
