"""What nginx must keep from the outside."""

from __future__ import annotations

from .. import nginx
from ..chain import Chain
from ..findings import Finding, Findings, Level
from ..nginx import Directive


def check(chain: Chain) -> Findings:
    """Look for a location that closes /metrics."""
    if chain.way is None:
        return
    places = [one for one in nginx.find(chain.nginx, "location") if one.arguments[-1].endswith("/metrics")]
    if any(map(_is_closed, places)):
        yield Finding("exposure", Level.GOOD, "nginx keeps /metrics from the outside.")
    else:
        message = "nginx hands /metrics to everybody: it says how much is asked, of which models, and what fails."
        remedy = "location = /metrics with `allow 127.0.0.1; deny all;`, as in deploy/nginx.conf."
        yield Finding("exposure", Level.PROBLEM, message, remedy)


def _is_closed(location: Directive) -> bool:
    return any(
        (one.name == "deny" and one.arguments == ("all",))
        or (one.name == "return" and one.arguments[0] in ("403", "404"))
        for one in location.block
    )
