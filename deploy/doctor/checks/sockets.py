"""Where gunicorn listens is where nginx asks, and nginx may."""

from __future__ import annotations

import socket
from pathlib import Path

from .. import nginx, rights
from ..chain import Chain
from ..findings import Finding, Findings, Level

_EVERYWHERE = {"0.0.0.0", "::", "[::]"}  # noqa: S104  compared, not bound
_LOCAL = {"127.0.0.1", "localhost", "::1", "[::1]"}


def check(chain: Chain) -> Findings:
    """Compare the addresses, then knock."""
    listens = chain.listens
    if chain.way is None:
        message = f"nginx hands no requests to {listens}, where gunicorn listens."
        yield _problem(message, "Install deploy/nginx.conf as /etc/nginx/nginx.conf, or name the file with --nginx.")
        return
    asks = [one.arguments[0] for one in chain.upstream.block if one.name == "server"] if chain.upstream else []
    asks = asks or [chain.way.target.partition("://")[2].rstrip("/")]
    if listens not in asks and not any(_same(listens, one) for one in asks):
        message = f"gunicorn listens on {listens}, nginx asks {', '.join(asks)}: every answer is 502."
        yield _problem(message, f"Set KILN_BIND={asks[0]}, or the server of nginx's upstream.")
    elif listens.startswith("unix:"):
        yield from _unix(chain, Path(listens.removeprefix("unix:")))
    else:
        yield from _tcp(chain)


def _same(listens: str, asks: str) -> bool:
    """Loopback by another name, or every address."""
    host, _, port = listens.rpartition(":")
    other, _, other_port = asks.rpartition(":")
    return port == other_port and other in _LOCAL and host in _EVERYWHERE | _LOCAL


def _unix(chain: Chain, path: Path) -> Findings:
    user = next((one.arguments[0] for one in nginx.find(chain.nginx, "user")), "")
    try:
        if not path.is_socket():
            there = "is no socket" if path.exists() else "is not there"
            message = f"{path}, where gunicorn listens and nginx asks, {there}."
            yield _problem(message, "Start the service; its folder must exist and be writable for its user.")
            return
        if why := rights.obstacle(user, path, rights.READ | rights.WRITE):
            yield _problem(
                f"nginx cannot connect: {why}.", "Let nginx's user enter the folder and write to the socket."
            )
            return
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(path))
    except PermissionError as fault:
        message = f"{path} cannot be looked at: {fault.strerror}."
        yield Finding("sockets", Level.WARNING, message, "Run this as root.")
    except KeyError:
        yield _problem(f"nginx runs as {user}, and there is no such user.", "Correct `user` in nginx.conf.")
    except OSError as fault:
        yield _problem(f"Nobody answers on {path}: {fault.strerror or fault}.", "Start the service; its log says more.")
    else:
        yield Finding("sockets", Level.GOOD, f"gunicorn listens on {path}, and nginx may connect.")


def _tcp(chain: Chain) -> Findings:
    named, _, port = chain.listens.rpartition(":")
    host = "127.0.0.1" if named in _EVERYWHERE else named.strip("[]")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as fault:
        yield _problem(f"Nobody answers on {chain.listens}: {fault}.", "Start the service; its log says more.")
        return
    if named not in _LOCAL:
        message = f"gunicorn listens on {chain.listens}, where clients get past nginx."
        remedy = "Let it listen on a unix socket (KILN_BIND) or on 127.0.0.1."
        yield Finding("sockets", Level.WARNING, message, remedy)
    else:
        yield Finding("sockets", Level.GOOD, f"gunicorn listens on {chain.listens}.")


def _problem(message: str, remedy: str) -> Finding:
    return Finding("sockets", Level.PROBLEM, message, remedy)
