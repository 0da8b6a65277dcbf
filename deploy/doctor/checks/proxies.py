"""How many proxies stand before the service: what Kiln believes of X-Forwarded-For is what nginx writes there."""

from __future__ import annotations

from .. import nginx
from ..chain import Chain
from ..findings import Finding, Findings, Level
from ..nginx import Way

_SETTING = "KILN_TRUSTED_PROXIES"
# Behind a load balancer that nginx knows: what it adds, and what nginx adds.
_WITH_A_BALANCER = 2
_OURS = {"$proxy_add_x_forwarded_for", "$remote_addr"}  # what ends in these ends in what nginx saw
_METRICS = "=/metrics"  # its location: whose address asks there makes no difference


def check(chain: Chain) -> Findings:
    """Compare the number with the proxies that nginx names, and see that nginx writes whom it serves."""
    if chain.way is None:
        return
    count = chain.settings.trusted_proxies
    if count:
        yield from _header(chain)
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


def _header(chain: Chain) -> Findings:
    ways = [way for way in nginx.ways(chain.nginx) if chain.is_kiln(way.target)]
    own = [" ".join(way.location) for way in ways if not _is_written(way) and "".join(way.location) != _METRICS]
    for location in dict.fromkeys(own):
        message = (
            f"nginx's location {location} does not write X-Forwarded-For: the address of a client is what it says "
            "itself, or unknown, and it can choose its version of a canary split."
        )
        remedy = (
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; there or around it. A level with any "
            "proxy_set_header of its own inherits none: it must repeat all of deploy/nginx.conf's."
        )
        yield _finding(Level.PROBLEM, message, remedy)


def _is_written(way: Way) -> bool:
    value = way.headers.get("x-forwarded-for", "").replace("{", "").replace("}", "")
    return value.rpartition(",")[2].strip() in _OURS


def _finding(level: Level, message: str, remedy: str = "") -> Finding:
    return Finding("proxies", level, message, remedy)
