"""Limits of a request: the same wherever it passes, and in nginx before it is read."""

from __future__ import annotations

from ..chain import Chain
from ..findings import Finding, Findings, Level


def check(chain: Chain) -> Findings:
    """Compare nginx's limits with those behind it."""
    if chain.way is None:
        return
    ours, theirs = chain.settings.max_body_bytes, chain.way.size("client_max_body_size", "1m")
    if theirs == 0 or theirs > ours:
        size = f"{theirs:,} bytes" if theirs else "bodies of any size"
        message = f"nginx takes {size} (client_max_body_size), the application {ours:,} (KILN_MAX_BODY_BYTES): what is"
        yield _problem(f"{message} between is read, sent on and then refused.", ours)
    elif theirs < ours:
        message = f"nginx refuses bodies over {theirs:,} bytes (client_max_body_size), the application takes {ours:,}"
        yield _problem(f"{message} (KILN_MAX_BODY_BYTES) and says so to its clients.", ours)
    else:
        yield Finding("bodies", Level.GOOD, f"nginx and the application take bodies of {ours:,} bytes.")
    buffering = chain.way.values.get("proxy_request_buffering", ("on",))
    if buffering != ("on",) or chain.way.values.get("proxy_buffering", ("on",)) != ("on",):
        message = "nginx does not buffer: slow clients hold the threads of workers."
        yield Finding("bodies", Level.WARNING, message, "Set proxy_request_buffering and proxy_buffering to on.")


def _problem(message: str, size: int) -> Finding:
    remedy = f"Make them equal: client_max_body_size {size}; or KILN_MAX_BODY_BYTES as nginx has it."
    return Finding("bodies", Level.PROBLEM, message, remedy)
