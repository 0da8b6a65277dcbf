"""X-Request-ID: taken over from the platform or the client where it is sane, else made here; on every answer."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from flask import Flask, Response, g, request

HEADER = "X-Request-ID"
Lookup = Callable[[str], str | None]
_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}", re.ASCII)


def chosen(offered: str) -> str:
    """The id that the client offered, where it is sane; else a new one, which is a name and no secret."""
    return offered if offered and _SANE.fullmatch(offered) else f"{random.getrandbits(128):032x}"


def install(app: Flask, offered: Callable[[Lookup], str]) -> None:
    """Give every request its id, on the way in and on the way out. offered: which of its headers is the id."""

    @app.before_request
    def take_over() -> None:
        g.request_id = chosen(offered(request.headers.get))

    @app.after_request
    def tell(answer: Response) -> Response:
        answer.headers[HEADER] = g.request_id
        return answer
