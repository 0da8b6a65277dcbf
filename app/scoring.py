"""One body to one answer in our own form, for platforms whose contracts leave both open."""

from __future__ import annotations

from flask import Request

from model.store import Store

from .payloads.body import read_whole
from .payloads.tf.calls import read, tensors
from .payloads.tf.document import parse
from .payloads.tf.rows import Asked
from .predictions import answer
from .selection import select, top_of
from .settings import Settings
from .telemetry.timing import Timing


def score(request: Request, store: Store, settings: Settings, timing: Timing) -> bytes:
    """A body that begins as JSON does holds TensorFlow Serving's rows or columns; every other is a picture, whatever
    its type says.

    ?model=, ?version= and ?label= name the model, and ?top= limits its labels, as at /predict; so is the answer.
    Raises RequestError, and what the store and the model raise.
    """
    body = read_whole(request, settings)
    model = select(request, store, settings.trusted_proxies)
    timing.is_for(model)
    if body.lstrip()[:1] in (b"{", b"["):
        asked = read(parse(body), model, settings)
    else:
        asked = Asked(rows=True, pictures=[body], inputs=())
    top = top_of(request.args, model)
    return answer(model, tensors(asked, model, timing), top, timing)
