"""Which model a request means: its name, its version or label, and whom a canary split sticks to; how many labels."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from flask import Request

from model.errors import ModelError
from model.store import Model, Store

from .errors import RequestError
from .predictions import DEFAULT_TOP

CLIENT_HEADER = "X-Client-ID"
_CLIENT = "HTTP_" + CLIENT_HEADER.upper().replace("-", "_")  # as WSGI has it
NAMES = ("model", "version", "label")
_TOP = "top"


def select(request: Request, store: Store, proxies: int) -> Model:
    """The model that ?model=, ?version= and ?label= name; without them the default one.

    These and ?top= may be given once.

    proxies: how many stand before the worker, as in `client`.

    Raises RequestError 400 with every problem of these, and what Store.get raises.
    """
    given = {name: request.args.getlist(name) for name in (*NAMES, _TOP)}
    problems = [f"{name} is given {len(values)} times; once is enough" for name, values in given.items() if values[1:]]
    problems += [f"{name} is empty" for name in NAMES if given[name] == [""]]
    if given["version"] and given["label"]:
        problems.append("version and label both say which version to ask; leave one out")
    if problems:
        raise RequestError(400, "bad_query", "; ".join(problems) + ". GET /models lists what there is.")
    name, version, label = (next(iter(given[name]), None) for name in NAMES)
    return store.get(name or "", version, label, client(request.environ, proxies))


def top_of(request: Request, model: Model) -> int:
    """How many labels ?top= asks for; 0 for a model that has none. Raises RequestError 400."""
    text, count = request.args.get(_TOP), len(model.bundle.labels)
    if text is None:
        return min(count, DEFAULT_TOP)
    if not count:
        raise RequestError(400, "bad_top", f"Model {model.bundle.name!r} has no labels to rank. Leave top out.")
    # isdecimal alone would take digits of any script
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= count):
        raise RequestError(400, "bad_top", f"top must be an integer from 1 to {count}, the number of labels.")
    return int(text)


def client(environ: Mapping[str, Any], proxies: int) -> str:
    """Who asks: what the client says in X-Client-ID, else its address, as a proxy tells it or the socket.

    proxies: how many stand before the worker. Each adds to the right of X-Forwarded-For whom it was asked by, so that
    the entry which the outermost added counts; what is left of it the client has made up. 0 believes nothing of it.
    Nothing but a canary split rests on it, so whoever makes one up gets the one or the other version and no more.
    """
    told: str = environ.get(_CLIENT, "")
    if told:
        return told
    hops = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
    proxied: str = hops[-proxies].strip() if 0 < proxies <= len(hops) else ""
    return proxied or str(environ.get("REMOTE_ADDR", ""))


def served(store: Store) -> list[Model]:
    """The models that can answer now, each in the version that a request gets, the default one first."""
    models = []
    for name in sorted(store.names(), key=lambda name: name != store.default):
        with contextlib.suppress(ModelError):
            models.append(store.get(name))
    return models
