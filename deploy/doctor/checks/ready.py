"""The service that runs says of itself that it is ready: only it has tried its models, within its own fences."""

from __future__ import annotations

import socket

from gunicorn.util import parse_address  # type: ignore[import-untyped]

from deploy import notify

from ..chain import Chain
from ..findings import Finding, Findings, Level

_SECONDS = 5.0


def check(chain: Chain) -> Findings:
    """Ask for /ready where gunicorn listens."""
    address = parse_address(chain.listens)
    said = notify.ask(address, _SECONDS)
    if said.startswith("not ready"):
        message = f"The service answers 503, {said}"
        yield Finding("ready", Level.PROBLEM, message, "Put that right; its log says more (journalctl -u kiln).")
    elif said:
        yield Finding("ready", Level.GOOD, f"The service says of itself: {said}.")
    elif fault := _refusal(address):
        message = f"Whether the service is ready is not known, since it could not be asked: {fault}."
        yield Finding("ready", Level.WARNING, message, "Start it, if it does not run, and ask again, as root.")
    else:
        message = f"The service does not answer GET /ready on {chain.listens} within {_SECONDS:g} s."
        yield Finding("ready", Level.PROBLEM, message, "Its log says more (journalctl -u kiln); restart it.")


def _refusal(address: str | tuple[str, int]) -> str:
    """Why nobody can be asked there; empty where somebody listens."""
    try:
        with socket.socket(notify.family(address)) as client:
            client.settimeout(_SECONDS)
            client.connect(address)
    except OSError as fault:
        return fault.strerror or str(fault)
    return ""
