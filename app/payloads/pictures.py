"""A request's body -> pictures, still encoded: a form, a raw body, or JSON with base64."""

from __future__ import annotations

import base64
import binascii
import io
import re
from typing import Any

from flask import Request
from werkzeug.formparser import FormDataParser

from ..errors import RequestError
from ..settings import Settings
from .instances import JSON, MOST_PROBLEMS, read_instances

FIELDS = ("image", "file")
_DATA_URL = re.compile(r"data:[\w.+/-]*(?:;[\w.+=-]+)*,", re.ASCII)
_URL_SAFE = str.maketrans("-_", "+/", " \t\r\n")
_FORM = '{"instances": [{"b64": "..."}]}'
_HOW = (
    "Send the picture as multipart/form-data (field image), as a raw body with its image/* type or "
    f"application/octet-stream, or as JSON {_FORM}."
)


def read_pictures(request: Request, body: bytes, settings: Settings) -> list[bytes]:
    """Every picture in the request, in order, still encoded: at least one.

    Raises RequestError 400 (nothing sent, broken form, JSON or base64, too many) or 415 (media type not taken).
    """
    kind = request.mimetype
    if kind == "multipart/form-data":
        pictures = _from_form(request, body)
    elif kind == JSON:
        pictures = _from_json(read_instances(body, lambda: _FORM))
    elif kind.startswith("image/") or kind in ("application/octet-stream", ""):
        pictures = [body] if body else []
    else:
        raise RequestError(415, "unsupported_media_type", f"Content-Type {kind} is not taken. {_HOW}")
    if not pictures:
        raise RequestError(400, "no_image", f"The request has no picture. {_HOW}")
    if len(pictures) > settings.max_images:
        raise RequestError(
            400,
            "too_many_images",
            f"{len(pictures)} images were sent; at most {settings.max_images} are taken at once.",
        )
    return pictures


def _in_memory(*_: Any, **__: Any) -> io.BytesIO:
    """Where form files go: the body is in memory already and bounded, a temporary file would copy it to disk."""
    return io.BytesIO()


def _from_form(request: Request, body: bytes) -> list[bytes]:
    boundary = request.mimetype_params.get("boundary", "")
    try:
        parser = FormDataParser(
            stream_factory=_in_memory, max_form_memory_size=len(body), max_form_parts=2048, silent=False
        )
        _, form, files = parser.parse(io.BytesIO(body), "multipart/form-data", len(body), {"boundary": boundary})
    except Exception as fault:
        raise RequestError(400, "broken_form", "The multipart body cannot be read. Check its boundary.") from fault
    pictures = [file.read() for name, file in files.items(multi=True) if name in FIELDS]
    if pictures and not any(pictures):
        raise RequestError(400, "empty_image", "The file sent is empty (0 bytes). Choose another.")
    if not pictures and any(name in form for name in FIELDS):
        raise RequestError(400, "no_image", "The field holds text, not a file. With curl, write -F image=@photo.jpg")
    if not pictures and (others := sorted(set(files) | set(form))):
        raise RequestError(400, "no_image", f"No field named image or file; there is {', '.join(others)[:200]}.")
    return pictures


def _from_json(instances: list[Any]) -> list[bytes]:
    pictures, problems = [], []
    for number, instance in enumerate(instances):
        try:
            pictures.append(from_base64(instance))
        except ValueError as fault:
            problems.append((number, fault))
    if problems:
        kinds = {type(fault) for _, fault in problems}
        code = "bad_base64" if kinds == {binascii.Error} else "bad_instances"
        named = (f"instances[{number}] {fault}" for number, fault in problems[:MOST_PROBLEMS])
        raise RequestError(400, code, f"The model takes pictures: {'; '.join(named)}.")
    return pictures


def from_base64(instance: Any) -> bytes:
    """Standard and URL-safe alphabets, padded or not, data URLs. Raises ValueError, or binascii.Error (its child)."""
    text = instance.get("b64") if isinstance(instance, dict) else None
    if not isinstance(text, str):
        raise ValueError('is not an object like {"b64": "..."}')
    if (prefix := _DATA_URL.match(text[:200])) is not None:
        if not prefix[0].endswith(";base64,"):
            raise ValueError("is a data URL that is not base64")
        text = text[prefix.end() :]
    text = text.translate(_URL_SAFE).rstrip("=")
    if not text:
        raise ValueError("is empty")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as fault:
        raise binascii.Error("is not valid base64") from fault
