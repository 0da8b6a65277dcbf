"""What a body is, as its Content-Type says: RFC 9110 section 8.3.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from werkzeug.http import parse_options_header


class MediaType(NamedTuple):
    """name: in lower case, as "image/jpeg"; empty where nothing is said. parameters: such as the boundary of a form."""

    name: str
    parameters: Mapping[str, str]


def media_type(content_type: str | None) -> MediaType:
    """The value of a Content-Type header -> what it says."""
    name, parameters = parse_options_header(content_type)
    return MediaType(name.lower(), parameters)
