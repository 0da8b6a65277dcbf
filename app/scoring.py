"""One body to one answer in our own form, for platforms whose contracts leave both open."""

from __future__ import annotations

from flask import Request

from model.store import Store

from .payloads import rows
from .payloads.body import read_body
from .payloads.compressed import decompress
from .payloads.instances import load
from .predictions import DEFAULT_TOP, answer, decode
from .selection import select
from .settings import Settings
from .telemetry.timing import Timing


def score(request: Request, store: Store, settings: Settings, timing: Timing) -> bytes:
    """A body that begins as JSON does holds instances; every other is a picture, whatever its type says.

    ?model=, ?version= and ?label= name the model, as at /predict; the answer is as there, too.
    Raises RequestError, and what the store and the model raise.
    """
    body = read_whole(request, settings)
    model = select(request, store, settings.trusted_proxies)
    timing.is_for(model)
    if body.lstrip()[:1] in (b"{", b"["):
        inputs = rows.read(load(body), model, settings, timing)
    else:
        inputs = (decode(model, [body], timing),)
    return answer(model, inputs, min(DEFAULT_TOP, len(model.bundle.labels)), timing)


def read_whole(request: Request, settings: Settings) -> bytes:
    """The body, unpacked. Raises RequestError."""
    body = read_body(request, settings)
    return decompress(body, request.headers.get("Content-Encoding", ""), settings.max_body_bytes)
