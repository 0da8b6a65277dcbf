"""The server that is measured: one that is started here, or one that runs somewhere."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

import psutil

from .. import key, servers
from ..processes import Failed
from . import tls
from .tls import Tls

_PATIENCE = 10.0  # seconds
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Target:
    """url: without credentials. address: where to connect. path: of /predict, below the prefix of the URL. roots:
    processes to watch. tls: of https. headers: with which a client proves who it is."""

    url: str
    host: str
    address: tuple[str, int]
    path: str
    roots: Sequence[psutil.Process]
    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def here(self) -> bool:
        """Is it on this machine?"""
        return self.address[0] in ("127.0.0.1", "::1")

    def models(self) -> list[str]:
        """What serves, as `name version (engine)`. Raises Failed where nobody answers or no model is ready."""
        answer = self._ask("GET", self.path.removesuffix("/predict") + "/version")
        found = [
            f"{model['name']} {model['version']} ({model['engine']})"
            for model in json.loads(answer).get("models", [])
            if model.get("engine")
        ]
        if not found:
            raise Failed(f"{self.url} has no model that is ready.")
        return found

    def try_out(self, body: bytes, kind: str) -> None:
        """Post one photo. Raises Failed where it is not answered with 200."""
        self._ask("POST", self.path, body, kind)

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        headers = {"Host": self.host, **self.headers} | ({"Content-Type": kind} if kind else {})
        connection = http.client.HTTPConnection(*self.address, timeout=_PATIENCE)
        with contextlib.closing(connection):
            try:
                plain = socket.create_connection(self.address, timeout=_PATIENCE)
                connection.sock = self.tls.wrap(plain) if self.tls else plain
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
            except ssl.SSLCertVerificationError as fault:
                raise Failed(
                    f"{self.url}: its certificate is not trusted: {fault.verify_message}. Name the file with the one "
                    "that signed it with --ca, or check none with --insecure."
                ) from fault
            except ssl.SSLError as fault:
                raise Failed(f"{self.url} does not speak TLS as is wanted: {fault}. Is it http:// there?") from fault
            except (OSError, http.client.HTTPException) as fault:
                raise _silent(self.url, fault) from fault
        if answer.status == 401 and "Authorization" in self.headers:
            raise Failed(f"{self.url} does not take the user and password of --url. It says {content[:300]!r}")
        if answer.status == 401:
            raise Failed(f"{self.url} wants an API key: give one in {key.VARIABLE}. It says {content[:300]!r}")
        if answer.status != 200:
            raise Failed(f"{method} {path} at {self.url} is answered with {answer.status}: {content[:300]!r}")
        return content


def at(url: str, pids: Sequence[int], authorities: Path | None = None, *, insecure: bool = False) -> Target:
    """A server that runs. url: may have a user and a password, for basic authentication. pids: of its first processes,
    where they run here. authorities, insecure: of `tls.client`, for https alone. Raises Failed where a process does not
    run, and where nobody can be reached."""
    given, url = url, re.sub(r"^(\w+://)[^/?#]*@", r"\1", url)  # what is told of it has no password
    try:
        parts = urlsplit(given)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError as fault:
        raise Failed(f"{_shown(given)}: {fault}") from fault
    if port is None or not parts.hostname:
        raise Failed(
            f"{_shown(given)} is no address like http://127.0.0.1:8000 or https://kiln.example.com. A unix socket is "
            "not measured: name the address of nginx before it, or let gunicorn listen on a port."
        )
    secured = tls.client(parts.hostname, authorities, insecure=insecure) if parts.scheme == "https" else None
    if not secured and (authorities or insecure):
        raise Failed(f"{url} is not https, so there is no certificate to check: leave out --ca and --insecure.")
    try:
        with socket.create_connection((parts.hostname, port), timeout=_PATIENCE) as probe:
            resolved = probe.getpeername()
    except OSError as fault:
        raise _silent(url, fault) from fault
    roots = []
    for pid in pids:
        if not psutil.pid_exists(pid):
            raise Failed(f"There is no process {pid}.")
        roots.append(psutil.Process(pid))
    path = parts.path.rstrip("/").removesuffix("/predict") + "/predict"
    host = parts.netloc.rpartition("@")[2]
    headers = {**key.headers(), **_authorization(parts)}
    return Target(url, host, (str(resolved[0]), port), path, roots, secured, headers)


def _shown(url: str) -> str:
    """Of a URL that cannot be read, what is no password for certain, and how to write one."""
    kept = re.sub(r"^(\w+://)?.*@", r"\1", url)
    return kept if kept == url else f"{kept} (in a password / is %2F, ? is %3F, # is %23 and @ is %40)"


def _authorization(parts: SplitResult) -> dict[str, str]:
    """The header for the user and the password of a URL, or none."""
    if parts.username is None:
        return {}
    pair = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


@contextlib.contextmanager
def started(workers: int, engine: str) -> Iterator[Target]:
    """Kiln as it ships, for as long as the block lasts."""
    with servers.kiln(workers, engine) as server:
        yield at(server.url, [server.program.process.pid])


def _silent(url: str, fault: Exception) -> Failed:
    return Failed(f"{url} does not answer: {fault}. Is the server running there?")
