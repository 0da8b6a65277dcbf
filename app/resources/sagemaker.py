"""Amazon SageMaker's containers: /ping and /invocations, in the forms of its container of TensorFlow Serving."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import orjson
from flask import Response, g, request
from flask_restful import Resource

from model.errors import ModelNotReady, UnknownModel, UnknownVersion
from model.store import Model, Store

from ..dialects import JSON, Dialect
from ..errors import Api, RequestError
from ..paths import INVOCATIONS, PING
from ..payloads.body import read_whole
from ..payloads.lines import from_csv, from_json, in_form_of
from ..payloads.npy import dump, read_npy
from ..payloads.tf import render
from ..payloads.tf.calls import METHODS, Tensors, predict, prepare
from ..predictions import decode, infer
from ..readiness import Readiness
from ..selection import client
from ..settings import Settings

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
CSV, LINES, NPY = "text/csv", "application/jsonlines", "application/x-npy"
_ATTRIBUTE = re.compile(r"(tfs-[a-z-]+)=([^,]+)")
_VERSION = re.compile(r"[0-9]+", re.ASCII)
_JSONS = (JSON, "application/jsons", LINES)


class SageMakerPing(Resource):
    """GET /ping. 200 and nothing more while every model that must answer can; 503 with the reason while not."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def get(self) -> Response:
        """Answer."""
        self._readiness.check()
        return Response(b"", mimetype=JSON)


class Invocations(Resource):
    """POST /invocations

    X-Amzn-SageMaker-Custom-Attributes: tfs-model-name=M,tfs-model-version=V says which model, and
    tfs-method=classify|regress what to do with the "examples" that are sent; others are ignored.
    Content-Type: JSON (TensorFlow Serving's rows, columns and examples, bare lists, several values one a line),
    text/csv, application/x-npy, or a picture as image/*. Accept: JSON, application/jsonlines, and of one output of
    numbers application/x-npy and text/csv, too; the first of them that is listed, else JSON.

    200: {"predictions": [...]}, {"outputs": ...} or {"results": [...]}, as TensorFlow Serving writes them. 400, 408,
    413, 415: the request is wrong. 404: no such model or version. 503: it is not ready.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def post(self) -> Response:
        """Parse, call the model, render."""
        body, kind = read_whole(request, self._settings), request.mimetype
        document = self._document(body, kind)
        if document is None and kind != NPY and not _is_picture(kind):
            told = request.headers.get("Content-Type", "")[:100] or "Unknown"
            raise RequestError(415, "unsupported_media_type", f"Unsupported Media Type: {told}")
        attributes = dict(_ATTRIBUTE.findall(request.headers.get(ATTRIBUTES, "")))
        method = attributes.get("tfs-method", "predict")
        if method not in METHODS:
            message = f"tfs-method={method[:50]} is not served here. Use {', '.join(METHODS)}."
            raise RequestError(400, "unknown_method", message)
        call = prepare(method, document or {}, self._settings) if method != "predict" else None
        model = self._model(attributes.get("tfs-model-name", ""), attributes.get("tfs-model-version"))
        g.timing.is_for(model)
        if call is not None:
            return Response(call(model, g.timing), mimetype=_kind(()))
        if document is not None:
            document = in_form_of(model, document) if kind == CSV else document
            in_rows, outputs = predict(document, model, self._settings, g.timing)
            return _answer(model, outputs, in_rows=in_rows)
        array = read_npy(body, model, self._settings) if kind == NPY else (decode(model, [body], g.timing),)
        return _answer(model, infer(model, array, g.timing), in_rows=True)

    def _document(self, body: bytes, kind: str) -> dict[str, Any] | None:
        """As TensorFlow Serving has it; None of what is none. Raises RequestError."""
        if kind == CSV:
            return from_csv(body, self._settings.max_instances)
        return from_json(body, self._settings.max_instances) if kind in _JSONS else None

    def _model(self, name: str, version: str | None) -> Model:
        """That one, or the default one. Raises RequestError."""
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


def _answer(model: Model, outputs: Tensors, *, in_rows: bool) -> Response:
    kind = _kind(outputs)
    if kind == NPY:
        return Response(dump(outputs[0]), mimetype=NPY)
    if kind == CSV:
        return Response(_csv(outputs[0]), mimetype=CSV)
    return Response(render.predictions(model, outputs, rows=in_rows), mimetype=kind)


def _kind(outputs: Tensors) -> str:
    """The first form of those that the client lists which there is for these outputs, else JSON."""
    listed = (entry.partition(";")[0].strip().lower() for entry in request.headers.get("Accept", "").split(","))
    return next((kind for kind in listed if kind in (JSON, LINES) or _has_form(kind, outputs)), JSON)


def _has_form(kind: str, outputs: Tensors) -> bool:
    if len(outputs) != 1 or outputs[0].dtype.kind not in "fiub":
        return False
    return kind == NPY or (kind == CSV and outputs[0].ndim <= 2)


def _csv(output: np.ndarray) -> bytes:
    """A line for each instance."""
    finite = output.dtype.kind != "f" or bool(np.isfinite(output).all())
    lines = render.as_json("", output.reshape(len(output), -1), finite=finite)
    return b"".join(render.dumps(line, finite=finite)[1:-1] + b"\n" for line in lines)


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
    probes=lambda settings: {PING},
    id_header="X-Amzn-SageMaker-Inference-Id",
)
