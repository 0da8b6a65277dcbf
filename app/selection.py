"""Which model a request means: its name, its version or label, and whom a canary split sticks to; how many labels."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from flask import Request
from werkzeug.datastructures import MultiDict

from model.errors import ModelError
from model.store import Model, Store

from .errors import RequestError
from .predictions import DEFAULT_TOP

CLIENT_HEADER = "X-Client-ID"
_CLIENT = "HTTP_" + CLIENT_HEADER.upper().replace("-", "_")  # as WSGI has it
NAMES = ("model", "version", "label")
_TOP = "top"


class Named(NamedTuple):
    """What a query names: a model, empty for the default one, and a version or a label of it."""

    model: str
    version: str | None
    label: str | None


_DEFAULT = Named("", None, None)


def select(request: Request, store: Store, proxies: int) -> Model:
    """The model that a request means. proxies: how many stand before the worker, as in `client`.

    Raises RequestError as `named` does, and what Store.get raises.
    """
    return store.get(*named(request.args), client(request.environ, proxies))


def named(query: MultiDict[str, str]) -> Named:
    """What ?model=, ?version= and ?label= say. These and ?top= may be given once.

    Raises RequestError 400 with every problem of these.
    """
    if not query:
        return _DEFAULT
    given = {name: query.getlist(name) for name in (*NAMES, _TOP)}
    problems = [f"{name} is given {len(values)} times; once is enough" for name, values in given.items() if values[1:]]
    problems += [f"{name} is empty" for name in NAMES if given[name] == [""]]
    if given["version"] and given["label"]:
        problems.append("version and label both say which version to ask; leave one out")
    if problems:
        raise RequestError(400, "bad_query", "; ".join(problems) + ". GET /models lists what there is.")
    model, version, label = (next(iter(given[name]), None) for name in NAMES)
    return Named(model or "", version, label)


def top_of(query: MultiDict[str, str], model: Model) -> int:
    """How many labels ?top= asks for; 0 for a model that has none. Raises RequestError 400."""
    text, count = query.get(_TOP), len(model.bundle.labels)
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
    the entry which the outermost added counts; what is left of it the client has made up. Where there are fewer, the
    client came past some of the proxies, and the first counts. 0 believes nothing of it.
    Nothing but a canary split rests on it, so whoever makes one up gets the one or the other version and no more.
    """
    told: str = environ.get(_CLIENT, "")
    if told:
        return told
    hops = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
    proxied: str = hops[-min(proxies, len(hops))].strip() if proxies else ""
    return proxied or str(environ.get("REMOTE_ADDR", ""))


def served(store: Store) -> list[Model]:
    """The models that can answer now, each in the version that a request gets, the default one first."""
    models = []
    for name in sorted(store.names(), key=lambda name: name != store.default):
        with contextlib.suppress(ModelError):
            models.append(store.get(name))
    return models
