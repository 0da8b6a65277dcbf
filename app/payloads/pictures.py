"""A request's body -> pictures, still encoded: a form, a raw body, or JSON with base64."""

from __future__ import annotations

import binascii
from typing import Any

from ..errors import RequestError
from ..settings import Settings
from .encoded import from_text
from .forms import read_form
from .instances import JSON, MOST_PROBLEMS, check_most, read_instances
from .media import MediaType

FIELDS = ("image", "file")
_FORM = '{"instances": [{"b64": "..."}]}'
_HOW = (
    "Send the picture as multipart/form-data (field image), as a raw body with its image/* type or "
    f"application/octet-stream, or as JSON {_FORM}."
)


def read_pictures(body: bytes, kind: MediaType, settings: Settings) -> list[bytes]:
    """Every picture in a body of that kind, in order, still encoded: at least one.

    Raises RequestError 400 (nothing sent, broken form, JSON or base64, too many) or 415 (media type not taken).
    """
    if kind.name == "multipart/form-data":
        pictures = _from_form(body, kind.parameters.get("boundary", ""))
    elif kind.name == JSON:
        pictures = _from_json(read_instances(body, lambda: _FORM), settings.max_images)
    elif kind.name.startswith("image/") or kind.name in ("application/octet-stream", ""):
        pictures = [body] if body else []
    else:
        raise RequestError(415, "unsupported_media_type", f"Content-Type {kind.name} is not taken. {_HOW}")
    if not pictures:
        raise RequestError(400, "no_image", f"The request has no picture. {_HOW}")
    check_most(len(pictures), "images", settings.max_images)
    return pictures


def _from_form(body: bytes, boundary: str) -> list[bytes]:
    pictures, names, texts = [], set(), set()
    for part in read_form(body, boundary):
        names.add(part.name)
        if part.name in FIELDS and (picture := part.file()) is not None:
            pictures.append(picture)
        elif part.name in FIELDS:
            texts.add(part.name)
    if pictures and not any(pictures):
        raise RequestError(400, "empty_image", "The file sent is empty (0 bytes). Choose another.")
    if not pictures and texts:
        raise RequestError(
            400,
            "no_image",
            f"The field {' and '.join(sorted(texts))} holds text, not a file. Send the bytes of the picture, in a part "
            "with a filename or an image/* Content-Type; with curl: -F image=@photo.jpg. Base64 goes into JSON: "
            f"{_FORM}.",
        )
    if not pictures and names:
        others = ", ".join(sorted(filter(None, names)))[:200] or "one without a name"
        raise RequestError(400, "no_image", f"No field named image or file; there is {others}.")
    return pictures


def _from_json(instances: list[Any], most: int) -> list[bytes]:
    check_most(len(instances), "images", most)
    pictures, problems = [], []
    for number, instance in enumerate(instances):
        try:
            pictures.append(from_base64(instance))
        except ValueError as fault:
            problems.append((number, fault))
    if problems:
        kinds = {type(fault) for _, fault in problems}
        code = _CODES.get(kinds.pop(), "bad_instances") if len(kinds) == 1 else "bad_instances"
        named = (f"instances[{number}] {fault}" for number, fault in problems[:MOST_PROBLEMS])
        raise RequestError(400, code, f"The model takes pictures: {'; '.join(named)}.")
    return pictures


class _Empty(ValueError):
    """Base64 of nothing."""


_CODES: dict[type[ValueError], str] = {binascii.Error: "bad_base64", _Empty: "empty_image"}  # where all have that fault


def from_base64(instance: Any) -> bytes:
    """What is under "b64", as from_text reads it. Raises ValueError, or binascii.Error (its child)."""
    text = instance.get("b64") if isinstance(instance, dict) else None
    if not isinstance(text, str):
        raise ValueError('is not an object like {"b64": "..."}')
    picture = from_text(text)
    if not picture:
        raise _Empty("is empty")
    return picture
