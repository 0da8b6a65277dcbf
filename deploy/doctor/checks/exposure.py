"""What nginx must keep from the outside, and what must not be read on the way."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from .. import nginx
from ..chain import Chain
from ..findings import Finding, Findings, Level
from ..locations import Place, access, is_prefix, name, taking
from ..nginx import Directive

_METRICS = "/metrics"
# A network wider than the widest private one is the outside.
_WIDEST = {4: 8, 6: 7}


def check(chain: Chain) -> Findings:
    """Ask for /metrics in each server that leads to Kiln, below every path by which it has it."""
    if chain.way is None:
        return
    servers = [one for one in nginx.find(chain.nginx, "server") if one.block]
    outer = access([one for http in nginx.find(chain.nginx, "http") for one in http.block], ())
    found = {(path, target) for server in servers for path, target in _open(chain, server, outer)}
    for path, target in sorted(found):
        _, uri = nginx.split(target)
        if uri:
            how = f" as {path}, since proxy_pass {target} puts {uri} in the place of its location's path"
            remedy = f"location = {path} {{ return 404; }} inside that one, or a proxy_pass without a URI part."
        else:
            how, remedy = "", "location = /metrics with `allow 127.0.0.1; deny all;` alone, as in deploy/nginx.conf."
        message = f"nginx hands /metrics to everybody{how}: it says how much is asked, of which models, and what fails."
        yield Finding("exposure", Level.PROBLEM, message, remedy)
    if not found:
        yield Finding("exposure", Level.GOOD, "nginx keeps /metrics from the outside.")
    for server in servers:
        yield from _clear(server)


def _open(chain: Chain, server: Directive, outer: tuple[Directive, ...]) -> Iterator[tuple[str, str]]:
    """(path, target of its proxy_pass) of all by which anybody gets /metrics from that server."""
    paths = {_METRICS}
    for location in nginx.find(server.block, "location"):
        _, prefix = name(location)
        for target in _targets(chain, location):
            _, uri = nginx.split(target)
            if uri == _METRICS:
                paths.add(prefix)
            elif uri and _METRICS.startswith(uri) and is_prefix(location):
                paths.add(prefix + _METRICS.removeprefix(uri))
    for path in paths:
        place = taking(server.block, path, access(server.block, outer))
        if place is None or _is_closed(place):
            continue
        for target in _targets(chain, place.location):
            if _asked(place.location, target, path) == _METRICS:
                yield path, target


def _clear(server: Directive) -> Findings:
    """Where a server that speaks TLS is reached without it, too."""
    listens = [one for one in server.block if one.name == "listen"]
    encrypted = [one for one in listens if {"ssl", "quic"} & set(one.arguments)]
    clear = [one.arguments[0] for one in listens if one not in encrypted and not _is_local(one.arguments[0])]
    if encrypted and clear:
        message = (
            f"nginx serves with TLS and on {', '.join(clear)} in the clear: pictures and API keys can be read there."
        )
        remedy = "A # before each of these `listen`, and the server at the end of deploy/nginx.conf for port 80."
        yield Finding("exposure", Level.WARNING, message, remedy)


def _is_local(address: str) -> bool:
    return address.startswith(("unix:", "127.", "localhost", "[::1]"))


def _targets(chain: Chain, location: Directive) -> list[str]:
    """The targets of a location's own proxy_pass that lead to Kiln."""
    own = [*location.block, *(one for inner in location.block if inner.name == "if" for one in inner.block)]
    return [one.arguments[0] for one in own if one.name == "proxy_pass" and chain.is_kiln(one.arguments[0])]


def _asked(location: Directive, target: str, path: str) -> str:
    """The path that Kiln sees."""
    _, uri = nginx.split(target)
    return uri + path.removeprefix(name(location)[1]) if uri else path


def _is_closed(place: Place) -> bool:
    own = place.location.block
    if any(one.name == "internal" or (one.name == "return" and one.arguments[0][0] == "4") for one in own):
        return True
    for rule in place.rules:  # the first that fits decides
        if rule.name == "allow" and _is_wide(rule.arguments[0]):
            return False
        if rule.name == "deny" and rule.arguments[0] == "all":
            return True
    return False


def _is_wide(whom: str) -> bool:
    """Whether it lets in the outside as such, and not some networks of it."""
    try:
        network = ipaddress.ip_network(whom, strict=False)
    except ValueError:
        return whom == "all"
    return network.prefixlen < _WIDEST[network.version]
