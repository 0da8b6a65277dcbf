"""Domain error -> status, stable code, JSON. The only place that does it, for Flask and Flask-RESTful alike."""

from __future__ import annotations

from typing import Any

import flask_restful
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from model import errors as model_errors

from .dialects import kiln_error
from .telemetry import metrics
from .telemetry.logs import logger

_STATUS: dict[type[model_errors.ModelError], int] = {
    model_errors.UnsupportedPicture: 415,
    model_errors.PictureTooLarge: 413,
    model_errors.PictureError: 400,
    model_errors.UnknownModel: 404,
    model_errors.ModelNotReady: 503,
    model_errors.Overloaded: 503,
    model_errors.ModelError: 500,
}

_RETRY_SECONDS = "1"


class RequestError(Exception):
    """A request that HTTP code itself refuses: status, stable code and what to do about it.

    told: what the log gets of it, once it is answered; empty for nothing.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None, told: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.told = told


class Api(flask_restful.Api):  # type: ignore[misc]  # the package has no types
    """Flask-RESTful with its own error dialect switched off, so that Flask's handlers below serve its routes too."""

    def error_router(self, original_handler: Any, e: Exception) -> Any:
        """Hand every error back to Flask."""
        return original_handler(e)


def install(app: Flask) -> None:
    """Register the serialiser for everything that can be raised."""
    app.register_error_handler(RequestError, _request_error)
    app.register_error_handler(model_errors.ModelError, _model_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def response(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error, in the form of the dialect that the request speaks."""
    metrics.count_error(code)
    if "timing" in g:
        g.timing.code = code
    render = g.dialect.error if "dialect" in g else kiln_error
    body = render(status, code, message, g.get("request_id", ""))
    answer = Response(body, status, mimetype="application/json")
    answer.headers.extend(headers or {})
    if status in (429, 503):
        answer.headers.setdefault("Retry-After", _RETRY_SECONDS)
    return answer


def _request_error(error: RequestError) -> Response:
    if error.told:
        logger.warning("%s", error.told)
    return response(error.status, error.code, error.message, error.headers)


def _model_error(error: model_errors.ModelError) -> Response:
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    if isinstance(error, model_errors.Overloaded):
        status = g.dialect.overload_status
    if status == 500:
        logger.error("request failed: %s", error.message)
        return response(500, "internal_error", "The model could not answer. Try again; tell the operator if it stays.")
    return response(status, error.code, error.message)


_HTTP_CODES = {
    404: ("not_found", "There is nothing at this path. GET /openapi.json lists what there is."),
    405: ("method_not_allowed", "This path does not take that method; the Allow header names those it takes."),
    413: ("body_too_large", "The request is too large. Send fewer or smaller pictures, or fewer instances."),
}


def _http_error(error: HTTPException) -> Response:
    if error is request.routing_exception and (unrouted := g.dialect.unrouted):
        return _request_error(unrouted())
    status = error.code or 500
    code, message = _HTTP_CODES.get(status, (error.name.lower().replace(" ", "_"), error.description or error.name))
    kept = {name: value for name, value in error.get_headers() if name in ("Allow", "Location", "Retry-After")}
    return response(status, code, message, kept)


def _unexpected(error: Exception) -> Response:
    # The answer says nothing, the log says everything: a stack trace may hold paths and data.
    logger.exception("unexpected error")
    return response(500, "internal_error", "Something went wrong here. Try again; the log has it under the request id.")
