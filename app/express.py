"""The express way of the commonest request: one picture as a raw body that has arrived as a whole.

It does what `routes` and `resources/predict.py` do, with the same functions, but builds no request, context and
response of Flask around them: next to an engine that turns over the processor's caches, those cost more than all the
rest of the way (`./kiln bench`: Kiln / bare loop). Whatever is unusual, and everything that fails, is for Flask to
answer, so that there is one place for errors. `deploy/worker.py` takes this way.
"""

from __future__ import annotations

from model.store import Store

from .predictions import DEFAULT_TOP, answer, decode
from .settings import Settings
from .telemetry import request_id
from .telemetry.recording import Recorder
from .telemetry.timing import Timing

ROUTE = "/predict"


class Express:
    """Answers pictures posted to /predict with no query."""

    def __init__(self, store: Store, settings: Settings, recorder: Recorder) -> None:
        self._store = store
        self._settings = settings
        self._recorder = recorder

    def __call__(
        self, kind: str, offered_id: str, body: bytes, queued: float | None = None, parent: str = ""
    ) -> tuple[str, bytes] | None:
        """(request id, JSON body of a 200); None where Flask must answer.

        kind: the body's media type. offered_id: the client's request id, or nothing. queued: seconds that the request
        waited for its turn. parent: its traceparent, or nothing.
        """
        if not kind.startswith("image/") or not 0 < len(body) <= self._settings.max_body_bytes:
            return None
        timing = Timing(request_id.chosen(offered_id), queued, parent)
        try:
            if self._store.split(self._store.default):
                return None  # who gets which version is found out there
            model = self._store.get()
            timing.is_for(model)
            top = min(DEFAULT_TOP, len(model.bundle.labels))
            content = answer(model, (decode(model, [body], timing),), top, timing)
        except Exception:
            return None  # Flask meets the same fault and says what it is
        self._recorder.answered(ROUTE, "POST", ROUTE, 200, timing)
        return timing.request_id, content
