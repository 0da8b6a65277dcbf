"""How many proxies stand before the service: what Kiln believes of X-Forwarded-For is what nginx writes there."""

from __future__ import annotations

from .. import nginx
from ..chain import Chain
from ..findings import Finding, Findings, Level

_SETTING = "KILN_TRUSTED_PROXIES"
# Behind a load balancer that nginx knows: what it adds, and what nginx adds.
_WITH_A_BALANCER = 2


def check(chain: Chain) -> Findings:
    """Compare the number with the proxies that nginx names."""
    if chain.way is None:
        return
    count = chain.settings.trusted_proxies
    named = any(nginx.find(chain.nginx, "set_real_ip_from"))
    if named and not any(nginx.find(chain.nginx, "real_ip_header")):
        message = (
            "nginx names a load balancer (set_real_ip_from) and no real_ip_header, so that it looks for X-Real-IP, "
            "which few send: all of the balancer's clients then share one limit."
        )
        yield _finding(Level.WARNING, message, "real_ip_header X-Forwarded-For; and real_ip_recursive on;")
    if count == 0:
        message = (
            f"{_SETTING} is 0, and nginx stands before the service: the address of every client is unknown, so that a "
            "canary split does not keep a client with one version."
        )
        yield _finding(Level.PROBLEM, message, f"Set {_SETTING}=1, or leave it out.")
    elif count > 1 and not named:
        message = (
            f"{_SETTING} is {count}, and nginx names no load balancer (set_real_ip_from): without one in front clients "
            "can choose their version of a canary split, and with one all of its clients share one limit."
        )
        remedy = f"Set {_SETTING}=1 where clients reach nginx; else name the load balancer's addresses in nginx.conf."
        yield _finding(Level.PROBLEM, message, remedy)
    elif count > _WITH_A_BALANCER:
        message = f"{_SETTING} is {count}: that is right only with {count - 1} proxies in a row before nginx."
        remedy = f"Behind one load balancer set {_WITH_A_BALANCER}; with more, clients can choose their version."
        yield _finding(Level.WARNING, message, remedy)
    else:
        yield _finding(Level.GOOD, f"{_SETTING} is {count}, which fits nginx.")


def _finding(level: Level, message: str, remedy: str = "") -> Finding:
    return Finding("proxies", level, message, remedy)
