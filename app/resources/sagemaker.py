"""Amazon SageMaker's containers: /ping and /invocations, in the forms of its container of TensorFlow Serving."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
from flask import Response, g, request
from flask_restful import Resource

from model.errors import ModelNotReady, UnknownModel, UnknownVersion
from model.store import Model, Store

from ..dialects import JSON, Dialect
from ..errors import Api, RequestError
from ..openapi.sagemaker import INVOCATIONS, PING, paths
from ..payloads import rows
from ..payloads.lines import from_csv, from_json
from ..payloads.npy import dump, read_npy
from ..predictions import decode, infer
from ..readiness import Readiness
from ..scoring import read_whole
from ..selection import client
from ..settings import Settings

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
CSV, LINES, NPY = "text/csv", "application/jsonlines", "application/x-npy"
_ATTRIBUTE = re.compile(r"(tfs-[a-z-]+)=([^,]+)")
_VERSION = re.compile(r"[0-9]+", re.ASCII)
_DATA: dict[str, Callable[[bytes], Any]] = {JSON: from_json, "application/jsons": from_json, LINES: from_json}
_DATA[CSV] = from_csv


class SageMakerPing(Resource):
    """GET /ping. 200 and nothing more while every model can answer; 503 with the reason while not."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def get(self) -> Response:
        """Answer."""
        self._readiness.check()
        return Response(b"", mimetype=JSON)


class Invocations(Resource):
    """POST /invocations

    X-Amzn-SageMaker-Custom-Attributes: tfs-model-name=M,tfs-model-version=V says which model; others are ignored.
    Content-Type: JSON (TensorFlow Serving's rows and columns, bare lists, several values one a line), text/csv,
    application/x-npy, or a picture as image/*. Accept: JSON, application/jsonlines, and of one output of numbers
    application/x-npy and text/csv, too; the first of them that is listed, else JSON.

    200: {"predictions": [...]} or {"outputs": ...}, the model's own outputs. 400, 408, 413, 415: the request is wrong.
    404: no such model or version. 503: it is not ready.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def post(self) -> Response:
        """Parse, call the model, render."""
        body = read_whole(request, self._settings)
        kind = request.mimetype
        data = _DATA[kind](body) if kind in _DATA else None
        if data is None and kind != NPY and not _is_picture(kind):
            told = request.headers.get("Content-Type", "")[:100] or "Unknown"
            raise RequestError(415, "unsupported_media_type", f"Unsupported Media Type: {told}")
        model = self._model()
        g.timing.is_for(model)
        inputs: rows.Inputs
        if data is not None:
            key, inputs = rows.form(data), rows.read(data, model, self._settings, g.timing)
        elif kind == NPY:
            key, inputs = rows.ROW, read_npy(body, model, self._settings)
        else:
            key, inputs = rows.ROW, (decode(model, [body], g.timing),)
        return _answer(key, model, infer(model, inputs, g.timing))

    def _model(self) -> Model:
        """The model that the attributes name. Raises RequestError."""
        asked = dict(_ATTRIBUTE.findall(request.headers.get(ATTRIBUTES, "")))
        method = asked.get("tfs-method", "predict")
        if method != "predict":
            raise RequestError(400, "unknown_method", f"tfs-method={method[:50]} is not served here. Use predict.")
        name, version = asked.get("tfs-model-name", ""), asked.get("tfs-model-version")
        if version is not None and not _VERSION.fullmatch(version):
            raise RequestError(400, "bad_version", f"tfs-model-version={version[:50]} must be a number.")
        whom = client(request.environ, self._settings.trusted_proxies)
        try:
            return self._store.get(name, version, client=whom)
        except (UnknownModel, ModelNotReady) as fault:
            raise _translated(fault, name or self._store.default, version) from fault


def _translated(fault: UnknownModel | ModelNotReady, name: str, version: str | None) -> RequestError:
    """What the store raises, in TensorFlow Serving's words; that a model is not ready is said as it is."""
    if isinstance(fault, ModelNotReady):
        return RequestError(503, fault.code, fault.message)
    asked = f"Specific({name}, {version})" if isinstance(fault, UnknownVersion) else f"Latest({name})"
    return RequestError(404, fault.code, f"Servable not found for request: {asked}")


def _is_picture(kind: str) -> bool:
    return kind.startswith("image/") or kind == "application/x-image"


def _answer(key: str, model: Model, outputs: rows.Inputs) -> Response:
    """In the first form of those that the client lists which there is for these outputs, else JSON."""
    listed = (entry.partition(";")[0].strip().lower() for entry in request.headers.get("Accept", "").split(","))
    kind = next((kind for kind in listed if kind in (JSON, LINES) or _has_form(kind, outputs)), JSON)
    if kind == NPY:
        return Response(dump(outputs[0]), mimetype=NPY)
    if kind == CSV:
        return Response(_csv(outputs[0]), mimetype=CSV)
    content = orjson.dumps(rows.rendered(key, model, outputs), option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, mimetype=kind)


def _has_form(kind: str, outputs: rows.Inputs) -> bool:
    if len(outputs) != 1 or outputs[0].dtype.kind not in "fiub":
        return False
    return kind == NPY or (kind == CSV and outputs[0].ndim <= 2)


def _csv(output: np.ndarray) -> bytes:
    """A line for each instance."""
    lines = np.ascontiguousarray(output.reshape(len(output), -1))
    return b"".join(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1] + b"\n" for line in lines)


def _error(status: int, code: str, message: str, request_id: str) -> bytes:
    return orjson.dumps({"error": message})


def _install(api: Api, store: Store, settings: Settings) -> None:
    api.add_resource(SageMakerPing, PING, endpoint="sagemaker_ping", resource_class_args=(Readiness(store),))
    api.add_resource(Invocations, INVOCATIONS, endpoint="sagemaker_invocations", resource_class_args=(store, settings))


DIALECT = Dialect(
    "sagemaker",
    lambda path: path in (PING, INVOCATIONS),
    _install,
    _error,
    paths=paths,
    probes=lambda settings: {PING},
    id_header="X-Amzn-SageMaker-Inference-Id",
)
