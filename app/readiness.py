"""Whether this process should get requests: every dialect's answer to that question is made of this one."""

from __future__ import annotations

from pathlib import Path

from model.store import Store

from .errors import RequestError


def why_not(store: Store, leaving: Path | None) -> tuple[str, str] | None:
    """(stable code, reason) where it should not: a model that must answer cannot, or the node is about to stop.

    leaving: the file that says so.
    """
    if leaving is not None and leaving.exists():
        return "leaving", "This node is about to stop. Send requests to another."
    if unready := store.unready():
        return "not_ready", "; ".join(f"{name}: {reason}" for name, reason in unready.items())
    return None


def check(store: Store, leaving: Path | None) -> None:
    """Raises RequestError 503 with the reason where it should not."""
    if trouble := why_not(store, leaving):
        raise RequestError(503, *trouble)
