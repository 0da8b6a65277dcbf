"""The express way of the commonest requests: those that have arrived as a whole and are what their dialect expects.

It does what `routes` and a resource do, with the same functions, but builds no request, context and response of Flask
around them: next to an engine that turns over the processor's caches, those cost more than all the rest of the way
(`./kiln bench`: Kiln / bare loop). Whatever is unusual, and everything that fails, is for Flask to answer, so that
there is one place for errors. `deploy/worker.py` takes this way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from model.store import Store

from .dialects import Answer, Dialects, Posted
from .settings import Settings
from .telemetry import request_id
from .telemetry.recording import Recorder
from .telemetry.timing import Timing

MOST = 1 << 20  # bytes of a body: a larger one gains nothing by it, and would be read twice where it is wrong


class Express:
    """Answers what the dialects have a quick way for.

    passes: what undoes that a request with such a head was let in and counted, or None where it may not pass; without
    such a function each does.
    """

    def __init__(
        self,
        dialects: Dialects,
        store: Store,
        settings: Settings,
        recorder: Recorder,
        passes: Callable[[Mapping[str, str]], Callable[[], None] | None] | None = None,
    ) -> None:
        self._dialects = dialects
        self._quick = {each.name: each.quick(store, settings) for each in dialects if each.quick}
        self._most = min(MOST, settings.max_body_bytes)
        self._recorder = recorder
        self._passes = passes

    def __call__(
        self, path: str, query: str, fields: dict[str, str], body: bytes, queued: float | None = None
    ) -> tuple[str, Answer] | None:
        """(request id, the answer) to a POST; None where Flask must answer.

        path, query, fields, body: see Posted; nothing in the first two is encoded. queued: seconds that the request
        waited for its turn.
        """
        dialect = self._dialects.of(path)
        quick = self._quick.get(dialect.name)
        if quick is None or not 0 < len(body) <= self._most or not self._dialects.platform_ids.isdisjoint(fields):
            return None  # platforms want more of an answer than is told here
        undo = None
        if self._passes and (undo := self._passes(fields)) is None:
            return None
        identity = request_id.chosen(fields.get("x-request-id", ""))
        timing = Timing(identity, queued, fields.get("traceparent", ""), dialect.name)
        try:
            answer = quick(Posted(path, query, fields, body), timing)
        except Exception:
            answer = None  # Flask meets the same fault and says what it is
        if answer is None:
            if undo:
                undo()
            return None
        self._recorder.answered(timing.route, "POST", path, 200, timing)
        return identity, answer
