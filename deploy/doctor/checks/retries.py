"""What nginx may send a second time."""

from __future__ import annotations

from .. import nginx
from ..chain import Chain
from ..findings import Finding, Findings, Level


def check(chain: Chain) -> Findings:
    """Look for a proxy_next_upstream that repeats what may have run."""
    ways = [way for way in nginx.ways(chain.nginx) if chain.is_kiln(way.target)]
    if not ways:
        return
    if any("non_idempotent" in way.values.get("proxy_next_upstream", ()) for way in ways):
        message = (
            "nginx sends a POST a second time (proxy_next_upstream ... non_idempotent): it may have run, and a picture "
            "that stops one worker stops the next one, too."
        )
        remedy = "proxy_next_upstream error; as in deploy/nginx.conf."
        yield Finding("retries", Level.PROBLEM, message, remedy)
    else:
        yield Finding("retries", Level.GOOD, "nginx repeats no POST that it has sent.")
