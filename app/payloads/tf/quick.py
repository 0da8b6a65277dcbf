"""The express way of predict: of a model's newest version, of one by its number or its label."""

from __future__ import annotations

import re

from model.store import Store

from ...dialects import Answer, Posted, Quick
from ...settings import Settings
from ...telemetry.timing import Timing
from .calls import prepare
from .document import parse

ROUTE = "/v1/models/<name>:predict"
ROUTE_OF_VERSION = "/v1/models/<name>/versions/<version>:predict"
ROUTE_OF_LABEL = "/v1/models/<name>/labels/<label>:predict"
_NAME = "[A-Za-z0-9._~-]+"
_NEWEST = re.compile(rf"/v1/models/({_NAME})()():predict")
_ANY = re.compile(rf"/v1/models/({_NAME})(?:/versions/([1-9][0-9]{{0,17}})|/labels/({_NAME}))?:predict")


def newest(store: Store, settings: Settings) -> Quick:
    """Of the paths that name no version. See dialects.Quick."""
    return _answering(_NEWEST, store, settings)


def of_any_version(store: Store, settings: Settings) -> Quick:
    """Of those that do, too."""
    return _answering(_ANY, store, settings)


def _answering(paths: re.Pattern[str], store: Store, settings: Settings) -> Quick:
    def answer(posted: Posted, timing: Timing) -> Answer | None:
        found = paths.fullmatch(posted.path)
        if found is None or posted.query:
            return None
        name, version, label = found[1], found[2] or None, found[3] or None
        if version is None and label is None and store.split(name):
            return None  # who gets which version of a split is found out elsewhere
        timing.route = ROUTE_OF_VERSION if version else ROUTE_OF_LABEL if label else ROUTE
        call = prepare("predict", parse(posted.body), settings)
        model = store.get(name, version, label)
        timing.is_for(model)
        return Answer(call(model, timing))

    return answer
