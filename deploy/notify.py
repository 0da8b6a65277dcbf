"""Tell systemd the truth about the service: READY once it answers, WATCHDOG for as long as it does.

gunicorn by itself says READY before it has a worker and knows no watchdog. So deploy/gunicorn.conf.py hides systemd's
socket from it and starts this file as a small process of its own (a thread would not survive the master's forks). It
asks the service what a client would ask, through the socket that clients use: whatever stops the answers, in a worker
or in the master, stops the watchdog too. It ends with the master.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

ASK = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kiln-notify\r\nConnection: close\r\n\r\n"
START_SECONDS = 0.1  # between two questions, until the first answer
IDLE_SECONDS = 15.0  # and after it, where systemd expects no watchdog

_systemd: dict[str, str] = {}


def hide_from_gunicorn() -> None:
    """Take systemd's variables out of the environment. Called each time that the configuration is read."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
        if name in os.environ:
            _systemd[name] = os.environ.pop(name)


def start(listeners: Sequence[Any]) -> None:
    """Watch the service from a process of its own, if systemd asked to be told. listeners: its listening sockets."""
    if "NOTIFY_SOCKET" in _systemd:
        command = [sys.executable, "-I", __file__, str(os.getpid()), json.dumps(listeners[0].getsockname())]
        close = [(os.POSIX_SPAWN_CLOSE, listener.fileno()) for listener in listeners]
        os.posix_spawn(sys.executable, command, _systemd, file_actions=close)


def watch(master: int, address: Any, environment: Mapping[str, str]) -> None:
    """Ask and tell until the master has ended."""
    seconds = int(environment.get("WATCHDOG_USEC", 0)) / 4e6 or IDLE_SECONDS
    pause = START_SECONDS
    ended = os.pidfd_open(master)
    while not select.select([ended], [], [], pause)[0]:
        if status := ask(address, seconds):
            tell(environment["NOTIFY_SOCKET"], f"READY=1\nWATCHDOG=1\nSTATUS={status}")
            pause = seconds


def ask(address: Any, timeout: float) -> str:
    """What the service says of itself, in a line; empty where it does not answer. timeout: seconds."""
    try:
        with socket.socket(family(address)) as client:
            client.settimeout(timeout)
            client.connect(address if isinstance(address, str) else tuple(address))
            client.sendall(ASK)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
    except OSError:
        return ""
    return said(answer)


def family(address: Any) -> socket.AddressFamily:
    """Of an address as gunicorn has it: a path, or host and port."""
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def said(answer: bytes) -> str:
    """An HTTP answer of /ready as a line: the models that serve, or why they do not."""
    if not answer.startswith(b"HTTP/1.1 "):
        return ""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
        if "error" in body:
            return f"not ready: {body['error']['message']}".replace("\n", " ")
        return "ready: " + ", ".join(f"{model['name']}/{model['version']}" for model in body["models"])
    return "answers"


def tell(where: str, state: str) -> None:
    """One message to systemd. where: its NOTIFY_SOCKET."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.connect("\0" + where[1:] if where.startswith("@") else where)
        client.sendall(state.encode())


if __name__ == "__main__":
    with contextlib.suppress(ProcessLookupError):  # the master has ended already
        watch(int(sys.argv[1]), json.loads(sys.argv[2]), os.environ)
