"""The Open Inference Protocol V2, as KServe, Triton and MLServer speak it: health, metadata, infer, repository."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import orjson
from flask import Response, g, jsonify, request
from flask_restful import Resource

from model.errors import BadServing, ModelNotReady, PictureError, UnknownModel
from model.preprocess import ACCEPTED
from model.store import Model, State, Store, Version

from .. import release
from ..dialects import Answer, Dialect, Posted, Quick
from ..errors import Api, RequestError
from ..payloads.body import read_whole
from ..payloads.open_inference import answer, datatypes, inputs
from ..payloads.open_inference.request import HEADER, json_size, read
from ..predictions import decode, infer
from ..readiness import Readiness
from ..selection import client
from ..settings import Settings
from ..telemetry.statistics import statistics
from ..telemetry.timing import Timing

EXTENSIONS = ["binary_tensor_data", "classification", "model_repository", "parameters", "statistics"]
PLATFORMS = {"litert": "litert_tflite", "onnx": "onnx_onnxv1", "keras": "keras_keras"}
INDEX_STATES = {
    State.START: "LOADING",
    State.LOADING: "LOADING",
    State.AVAILABLE: "READY",
    State.UNLOADING: "UNLOADING",
    State.END: "UNAVAILABLE",
}
LIVE, READY = "/v2/health/live", "/v2/health/ready"
MODEL = "/v2/models/<name>"
VERSION = f"{MODEL}/versions/<version>"
_INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([0-9]+))?/infer", re.ASCII)


def _in_its_words(method: Callable[..., Any]) -> Callable[..., Any]:
    """What the core raises, with the statuses and texts that V2's clients know."""

    @functools.wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except UnknownModel as error:
            asked = f"'{named.get('name')}'" + (f" version {named['version']}" if "version" in named else "")
            raise RequestError(
                404, error.code, f"Request for unknown model: {asked} is not found. {error.message}"
            ) from error
        except ModelNotReady as error:
            raise RequestError(503, error.code, f"Model version not ready: {error.message}") from error
        except PictureError as error:
            raise RequestError(400, error.code, error.message) from error
        except RequestError as error:
            if error.code == "unsupported_encoding":
                error.status = 501
            raise

    return call


class _OfStore(Resource):
    """What all of them have."""

    method_decorators = (_in_its_words,)

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings


class Server(_OfStore):
    """GET /v2. {"name", "version", "extensions"}."""

    def get(self) -> Response:
        """Answer."""
        return jsonify(name="kiln", version=release.VERSION, extensions=EXTENSIONS)


class _Health(Resource):
    def __init__(self, store: Store, settings: Settings) -> None:
        self._readiness = Readiness(store)


class Live(_Health):
    """GET /v2/health/live. {"live", "ready"}; 200 as long as this worker answers at all."""

    def get(self) -> Response:
        """Answer."""
        try:
            self._readiness.check()
        except RequestError:
            return jsonify(live=True, ready=False)
        return jsonify(live=True, ready=True)


class Ready(_Health):
    """GET /v2/health/ready. {"live", "ready"}; 503 until every model that must answer can."""

    def get(self) -> Response:
        """Answer."""
        self._readiness.check()
        return jsonify(live=True, ready=True)


class Models(_OfStore):
    """GET /v2/models. {"models": [name, ...]}."""

    def get(self) -> Response:
        """Answer."""
        return jsonify(models=self._store.names())


class ModelReady(_OfStore):
    """GET /v2/models/<name>[/versions/<version>]/ready. {"name", "ready"}. 404: no such model. 503: it is not ready."""

    def get(self, name: str, version: str | None = None) -> Response:
        """Answer."""
        self._store.get(name, version)
        return jsonify(name=name, ready=True)


class Metadata(_OfStore):
    """GET /v2/models/<name>[/versions/<version>]. {"name", "versions", "platform", "inputs", "outputs"}.

    versions: those that can be asked for. A tensor is {"name", "datatype", "shape"}, -1 where a size varies; the first
    axis is the batch. The input of a model of pictures has "parameters": {"pictures": "BYTES", ...}: it takes encoded
    pictures, too. 404: no such model. 503: it is not ready.
    """

    def get(self, name: str, version: str | None = None) -> Response:
        """Answer."""
        model = self._store.get(name, version)
        ready = [each.version for each in self._store.versions(name) if each.model is not None]
        return jsonify(
            name=name,
            versions=ready,
            platform=PLATFORMS[model.engine_name.partition("-")[0]],
            inputs=[_tensor(tensor) | _pictures(model) for tensor in model.bundle.inputs],
            outputs=[_tensor(tensor) for tensor in model.bundle.outputs],
        )


def _tensor(tensor: Any) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "datatype": datatypes.named(tensor.dtype),
        "shape": datatypes.sizes(tensor.shape),
    }


def _pictures(model: Model) -> dict[str, Any]:
    if not datatypes.takes_pictures(model):
        return {}
    return {"parameters": {"pictures": datatypes.BYTES, "pictures_shape": "[-1]", "pictures_formats": ACCEPTED}}


class Infer(_OfStore):
    """POST /v2/models/<name>[/versions/<version>]/infer

    Body: {"id"?, "parameters"?, "inputs": [{"name", "shape", "datatype", "parameters"?, "data"}], "outputs"?:
    [{"name", "parameters"?}]}. With Inference-Header-Content-Length that many bytes of JSON and then, in the order of
    the inputs that have "binary_data_size" and no "data", their bytes. With a length of 0 the bytes of the one input
    alone; of a model of pictures, an encoded picture or its tensor.

    200: {"model_name", "model_version", "id"?, "outputs": [{"name", "datatype", "shape", "parameters"?, "data"?}]},
    with binary data behind it where it was asked for.
    400: the request, or a picture, is wrong, or the engine failed on the values that were sent. 404: no such model or
    version. 408: the body came too slowly. 413: it is too large, or unpacks to too much. 501: a Content-Encoding that
    is not taken. 503: the model is not ready.
    """

    def post(self, name: str, version: str | None = None) -> Response:
        """Read, find the model, answer."""
        body = read_whole(request, self._settings)
        model = self._store.get(name, version, None, client(request.environ, self._settings.trusted_proxies))
        g.timing.is_for(model)
        made = inferred(body, request.headers.get(HEADER), model, self._settings, g.timing)
        return Response(made.content, mimetype=made.kind, headers=dict(made.headers))


def quick(store: Store, settings: Settings) -> Quick:
    """The express way of an inference: JSON, binary or raw."""

    def answer_inference(posted: Posted, timing: Timing) -> Answer | None:
        asked = _INFER.fullmatch(posted.path)
        if asked is None or posted.query or (asked[2] is None and store.split(asked[1])):
            return None  # who gets which version of a split is found out elsewhere
        timing.route = f"{VERSION if asked[2] else MODEL}/infer"
        model = store.get(asked[1], asked[2])
        timing.is_for(model)
        return inferred(posted.body, posted.fields.get(HEADER.lower()), model, settings, timing)

    return answer_inference


def inferred(body: bytes, header: str | None, model: Model, settings: Settings, timing: Timing) -> Answer:
    """Parse, call the model, render. header: Inference-Header-Content-Length, where there is one."""
    size = json_size(header, len(body))
    asked = read(body, size, model.bundle.name) if size or header is None else inputs.raw(body, model)
    chosen = answer.wanted(asked, model)
    pictures = inputs.pictures(asked, model, settings)
    tensors = inputs.tensors(asked, model, settings) if pictures is None else [decode(model, pictures, timing)]
    return answer.rendered(chosen, infer(model, tensors, timing), model, asked.identity)


class Statistics(_OfStore):
    """GET /v2/models/stats, /v2/models/<name>[/versions/<version>]/stats. {"model_stats": [...]}: what all workers did
    since the service started, of each version that is ready, from its metrics. 404: no such model."""

    def get(self, name: str | None = None, version: str | None = None) -> Response:
        """Answer."""
        if version is not None:
            self._store.get(name or "", version)
        counted = statistics()
        ready = [each for each in self._store.versions(name) if each.model is not None]
        asked = [each for each in ready if version in (None, each.version)]
        return jsonify(model_stats=[counted.of(each.name, each.version) for each in asked])


class Index(_OfStore):
    """POST /v2/repository/index. Body: nothing or {"ready": bool}; true for what is READY alone.

    200: [{"name", "version"?, "state", "reason"}].
    """

    def post(self) -> Response:
        """Answer."""
        ready = _options(read_whole(request, self._settings)).get("ready", False)
        if not isinstance(ready, bool):
            raise RequestError(400, "bad_request", "'ready' must be true or false")
        found = [_indexed(version) for version in self._store.versions()]
        return jsonify([entry for entry in found if not ready or entry["state"] == "READY"])


def _indexed(version: Version) -> dict[str, str]:
    number = {"version": version.version} if version.version else {}
    return {"name": version.name, **number, "state": INDEX_STATES[version.state], "reason": version.reason}


class _Control(_OfStore):
    def _declare(self, name: str, *, served: bool) -> None:
        if not self._settings.repository_control:
            raise RequestError(
                403,
                "repository_control_off",
                "explicit model load / unload is not allowed here. Whoever runs this service can switch it on: "
                "KILN_REPOSITORY_CONTROL=true",
            )
        try:
            self._store.declare(name, served=served)
        except BadServing as error:
            raise RequestError(400, error.code, error.message) from error
        except OSError as fault:
            raise RequestError(
                403,
                "store_not_writable",
                f"failed to change '{name}': the service may not write its store ({fault.strerror or fault}). Let its "
                "user write there, or use kiln models.",
            ) from fault


class Load(_Control):
    """POST /v2/repository/models/<name>/load. Body: nothing or {}; a model that was unloaded is served again.

    Answers once that is declared; workers follow within a second and the time to load. 400: it asks for a
    configuration or files of its own. 403: KILN_REPOSITORY_CONTROL is off, or the store cannot be written. 404: no
    such model.
    """

    def post(self, name: str) -> Response:
        """Answer."""
        parameters = _options(read_whole(request, self._settings)).get("parameters") or {}
        if parameters:
            raise RequestError(
                400, "bad_request", "load takes no 'config' and no files here: put a bundle into the store instead"
            )
        self._declare(name, served=True)
        return jsonify(name=name, load=True)


class Unload(_Control):
    """POST /v2/repository/models/<name>/unload. Body: nothing, or parameters, which change nothing here.

    Answers once that is declared; workers stop serving the model within a second. 403, 404: as for load.
    """

    def post(self, name: str) -> Response:
        """Answer."""
        _options(read_whole(request, self._settings))
        self._declare(name, served=False)
        return jsonify(name=name, unload=True)


def _options(body: bytes) -> dict[str, Any]:
    """An object, which may be left out. Raises RequestError 400."""
    try:
        found = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as fault:
        raise RequestError(400, "broken_json", f"failed to parse the request JSON buffer: {fault}") from fault
    if not isinstance(found, dict):
        raise RequestError(400, "bad_request", "the request must be a JSON object, or empty")
    return found


def _error(status: int, code: str, message: str, request_id: str) -> bytes:
    """The body of an error."""
    return orjson.dumps({"error": message})


def _owns(path: str) -> bool:
    return path == "/v2" or path.startswith("/v2/")


def _install(api: Api, store: Store, settings: Settings) -> None:
    table: list[tuple[type[Resource], tuple[str, ...]]] = [
        (Server, ("/v2", "/v2/")),
        (Live, (LIVE,)),
        (Ready, (READY,)),
        (Models, ("/v2/models",)),
        (Metadata, (MODEL, VERSION)),
        (ModelReady, (f"{MODEL}/ready", f"{VERSION}/ready")),
        (Infer, (f"{MODEL}/infer", f"{VERSION}/infer")),
        (Statistics, ("/v2/models/stats", f"{MODEL}/stats", f"{VERSION}/stats")),
        (Index, ("/v2/repository/index",)),
        (Load, ("/v2/repository/models/<name>/load",)),
        (Unload, ("/v2/repository/models/<name>/unload",)),
    ]
    for resource, urls in table:
        api.add_resource(
            resource, *urls, endpoint=f"v2-{resource.__name__.lower()}", resource_class_args=(store, settings)
        )


DIALECT = Dialect("open_inference", _owns, _install, _error, quick, probes=lambda settings: (LIVE, READY))
