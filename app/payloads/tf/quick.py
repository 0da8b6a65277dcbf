"""The express way of predict: the newest version of a model, in the plain form of its path."""

from __future__ import annotations

import re

from model.store import Store

from ...dialects import Answer, Posted, Quick
from ...settings import Settings
from ...telemetry.timing import Timing
from .calls import prepare
from .document import parse

ROUTE = "/v1/models/<name>:predict"
_PATH = re.compile(r"/v1/models/([A-Za-z0-9._~-]+):predict")


def quick(store: Store, settings: Settings) -> Quick:
    """See dialects.Quick."""

    def answer(posted: Posted, timing: Timing) -> Answer | None:
        found = _PATH.fullmatch(posted.path)
        if found is None or posted.query or store.split(found[1]):
            return None  # who gets which version of a split is found out elsewhere
        timing.route = ROUTE
        call = prepare("predict", parse(posted.body), settings)
        model = store.get(found[1])
        timing.is_for(model)
        return Answer(call(model, timing))

    return answer
