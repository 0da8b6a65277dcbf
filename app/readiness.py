"""Whether this worker should get requests: asked by us and by every platform in a form of its own."""

from __future__ import annotations

from model.store import Store

from .errors import RequestError
from .settings import leaving_mark


class Readiness:
    """Each model that must answer does (Store.unready), and the node is not about to stop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._leaving = leaving_mark()

    def check(self) -> None:
        """Raises RequestError 503 with the reason, which is also that the node leaves, while it still answers."""
        if self._leaving is not None and self._leaving.exists():
            raise RequestError(503, "leaving", "This node is about to stop. Send requests to another.")
        if unready := self._store.unready():
            reasons = "; ".join(f"{name}: {reason}" for name, reason in unready.items())
            raise RequestError(503, "not_ready", reasons)
