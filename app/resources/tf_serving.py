"""TensorFlow Serving's REST API: predict, classify, regress, the status of a model's versions, and their metadata.

It owns all of /v1/: a path or method that it does not know is a malformed request, as in the original.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import orjson
from flask import Response, g, request
from flask_restful import Resource
from werkzeug.routing import BaseConverter

from model.errors import ModelNotReady, UnknownModel
from model.store import Model, State, Store, Version

from ..dialects import JSON, Dialect
from ..errors import Api, RequestError
from ..payloads.body import read_body
from ..payloads.tf.calls import prepare
from ..payloads.tf.document import parse, unpacked
from ..payloads.tf.quick import ROUTE, of_any_version
from ..payloads.tf.signature import metadata
from ..selection import client
from ..settings import Settings

_WHICH = r"(?:/versions/(\d+)|/labels/([^/:]+))?"
_CALL = re.compile(rf"/v1/models/([^/:]+){_WHICH}:(classify|regress|predict)", re.IGNORECASE | re.ASCII)
_LOOK = re.compile(rf"/v1/models(?:/([^/:]+))?{_WHICH}(?:/(metadata))?", re.IGNORECASE | re.ASCII)
_MOST_VERSION = 2**63 - 1

# One resource answers at all of them, and reads the path itself, as it was sent. They are told apart for the metrics,
# and to leave KServe what is its own.
_STATUS = "/v1/models/<name>"
_ROUTES = [
    f"{_STATUS}{which}{what}"
    for which in ("", "/versions/<version>", "/labels/<label>")
    for what in (":predict", ":classify", ":regress", "", "/metadata")
]
_ALL = "/<any(v1,V1):prefix>/<anything:rest>"


class _Anything(BaseConverter):
    """The rest of a path, whatever it is, where no other rule matches."""

    regex = r"[\s\S]*"
    part_isolating = False
    weight = 1000


class _Asked(NamedTuple):
    """Which model a path names: version as a number without leading zeros."""

    name: str
    version: str | None
    label: str | None

    def __str__(self) -> str:
        return f"Specific({self.name}, {self.version})" if self.version else f"Latest({self.name})"


class TensorFlowServing(Resource):
    """All of /v1/.

    POST /v1/models/NAME[/versions/V | /labels/L]:predict with {"instances": [...]} or {"inputs": ...}
    -> {"predictions": [...]} or {"outputs": ...}; :classify and :regress with {"examples": [...]}
    -> {"results": [...]}.
    GET /v1/models/NAME[/versions/V] -> {"model_version_status": [...]}, newest first, 200 whatever their states are.
    GET /v1/models/NAME[/versions/V | /labels/L]/metadata -> what it takes and answers.
    400: the path, the body or a value is wrong, or there is no such label. 404: no such model or version, or none that
    can answer. 408, 413: the body came too slowly, or is too large. 503: overloaded; with KILN_STATUS_CODES=truthful
    also for a model that has no version which can answer.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def post(self, **_: str) -> Response:
        """Predict, classify or regress."""
        body = read_body(request, self._settings)
        found = _CALL.fullmatch(_path())
        if found is None:
            raise _malformed()
        name, version, label, verb = found.groups()
        asked = _asked(name, version, label)
        encoding = request.headers.get("Content-Encoding", "")
        call = prepare(verb.lower(), parse(unpacked(body, encoding, self._settings.max_body_bytes)), self._settings)
        model = self._get(asked)
        g.timing.is_for(model)
        return Response(call(model, g.timing), mimetype=JSON)

    def get(self, **_: str) -> Response:
        """Tell of a model: the state of its versions, or what one of them takes and answers."""
        found = _LOOK.fullmatch(_path())
        if found is None:
            raise _malformed()
        name, version, label, what = found.groups()
        if name is None:
            raise RequestError(400, "malformed_request", "Missing model name in request.")
        asked = _asked(name, version, label)
        if what is not None:
            return _written(metadata(self._get(asked)))
        return self._status(asked)

    def options(self, **_: str) -> Response:
        """Nothing, to browsers; what CORS needs beyond it the original does not send by default either."""
        origin = request.headers.get("Origin", "")
        return Response(status=200 if "http://" in origin or "https://" in origin else 400, mimetype=JSON)

    def _get(self, asked: _Asked) -> Model:
        proxies = self._settings.trusted_proxies
        try:
            return self._store.get(asked.name, asked.version, asked.label, client(request.environ, proxies))
        except UnknownModel as unknown:
            if asked.label is not None:
                message = f"Unrecognized servable version label: {asked.label}"
                raise RequestError(400, unknown.code, message) from unknown
            raise RequestError(404, unknown.code, f"Servable not found for request: {asked}") from unknown
        except ModelNotReady as unready:
            status = 503 if self._truthful else 404
            message = f"Servable not found for request: {asked}. {unready.message}"
            raise RequestError(status, unready.code, message) from unready

    def _status(self, asked: _Asked) -> Response:
        """A label counts for nothing here, as in the original."""
        versions = [version for version in self._versions(asked.name) if version.version]
        if asked.version is not None:
            versions = [version for version in versions if version.version == asked.version]
        if not versions:
            which = f"version {asked.version}" if asked.version is not None else "any versions"
            raise RequestError(404, "model_not_found", f"Could not find {which} of model {asked.name}")
        ready = any(version.state is State.AVAILABLE for version in versions)
        body: dict[str, Any] = {"model_version_status": [_entry(version) for version in versions]}
        if self._settings.v1_form() == "both":
            body = {"name": asked.name, "ready": ready, **body}
        return _written(body, 503 if self._truthful and not ready else 200)

    def _versions(self, name: str) -> list[Version]:
        try:
            return self._store.versions(name)
        except UnknownModel:
            return []

    @property
    def _truthful(self) -> bool:
        return self._settings.status_codes == "truthful"


def _path() -> str:
    """The path as it was sent: what stands for a slash in a name must not be one yet.

    Where the server does not tell it, or a proxy has changed what is before /v1/, the decoded one is encoded again.
    """
    sent: str = request.environ.get("RAW_URI", "").partition("?")[0]
    whole: str = request.script_root + request.path
    if unquote(sent) == whole:
        return sent.removeprefix(request.script_root)
    return quote(request.path, safe="/:")


def _asked(name: str, version: str | None, label: str | None) -> _Asked:
    """Raises RequestError 400 where a version is no integer of 64 bits."""
    if version is not None:
        digits = version.lstrip("0") or "0"
        if len(digits) > 19 or int(digits) > _MOST_VERSION:
            raise RequestError(400, "malformed_request", f"Failed to convert version: {version[:100]} to numeric.")
        version = digits
    return _Asked(unquote(name), version, unquote(label) if label is not None else None)


def _entry(version: Version) -> dict[str, Any]:
    status = {"error_code": "OK", "error_message": ""}
    if version.failed:
        status = {"error_code": "FAILED_PRECONDITION", "error_message": version.reason}
    return {"version": version.version, "state": version.state, "status": status}


def _malformed() -> RequestError:
    return RequestError(400, "malformed_request", f"Malformed request: {request.method} {_path()[:1000]}")


def _written(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content, option=orjson.OPT_INDENT_2), status, mimetype=JSON)


def _error(status: int, code: str, message: str, request_id: str) -> bytes:
    return b'{\n    "error": ' + orjson.dumps(message) + b"\n}"


def _owns(path: str) -> bool:
    return path[:4].lower() == "/v1/"


def _install(api: Api, store: Store, settings: Settings) -> None:
    kserve = {_STATUS, ROUTE} if settings.v1_form() == "kserve" else set()
    routes = [*(route for route in _ROUTES if route not in kserve), _ALL]
    api.app.url_map.converters["anything"] = _Anything
    api.add_resource(TensorFlowServing, *routes, resource_class_args=(store, settings), merge_slashes=False)


DIALECT = Dialect("tf_serving", _owns, _install, _error, of_any_version, unrouted=_malformed)
