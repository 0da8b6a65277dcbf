"""An open-loop load generator: requests are sent when they are due, whether or not earlier ones were answered.

A closed-loop one (wrk) sends the next request when the last is answered, and so slows down with the server: it cannot
show an overload. Times count from when a request was due, so that a generator that falls behind does not flatter the
server (Tene, "How NOT to Measure Latency", 2013). One thread, one process, plain sockets.

It never sleeps: a server on this machine would else pay for waking it with each answer, which clients on other machines
do not ask of it, and a core that rests lends its strength to its neighbour, the more so the less is asked.
"""

from __future__ import annotations

import collections
import contextlib
import select
import socket
import time
from dataclasses import dataclass, field

_PATIENCE = 15.0  # seconds after the last request was due


@dataclass
class Outcome:
    """What became of the requests. Times are seconds from when a request was due to the end of its answer."""

    offered: int = 0
    answered: list[float] = field(default_factory=list)  # with 200
    refused: list[float] = field(default_factory=list)  # with 503
    finished: list[float] = field(default_factory=list)  # when each 200 came, in seconds from the start
    others: collections.Counter[str] = field(default_factory=collections.Counter)
    seconds: float = 0.0  # until the last request was due


class _Connection:
    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due = 0.0
        self.unsent = memoryview(b"")
        self.got = b""


def run(port: int, request: bytes, rate: float, seconds: float, most: int = 1000) -> Outcome:
    """Send `request` `rate` times a second to a port of 127.0.0.1. most: connections that may be open at a time."""
    generator = _Generator(("127.0.0.1", port), request, most)
    with contextlib.closing(generator):
        return generator.run(rate, seconds)


class _Generator:
    def __init__(self, address: tuple[str, int], request: bytes, most: int) -> None:
        self.address, self.request, self.most = address, request, most
        self.poller = select.epoll()
        self.open: dict[int, _Connection] = {}
        self.idle: list[_Connection] = []
        self.outcome = Outcome()

    def close(self) -> None:
        for connection in self.open.values():
            connection.socket.close()
        self.poller.close()

    def run(self, rate: float, seconds: float) -> Outcome:
        started = time.perf_counter()
        total = round(rate * seconds)
        while True:
            now = time.perf_counter() - started
            while self.outcome.offered < total and self.outcome.offered / rate <= now:
                if (connection := self.free()) is None:
                    break  # its time runs all the same
                connection.due = self.outcome.offered / rate
                self.outcome.offered += 1
                connection.unsent = memoryview(self.request)
                self.send(connection)
            waiting = len(self.open) - len(self.idle)
            if self.outcome.offered == total and not waiting:
                break
            if now > seconds + _PATIENCE:
                self.outcome.others["no answer"] += waiting + total - self.outcome.offered
                break
            for number, event in self.poller.poll(0):
                connection = self.open[number]
                if event & select.EPOLLOUT and connection.unsent:
                    self.send(connection)
                if event & ~select.EPOLLOUT:
                    self.receive(connection, time.perf_counter() - started)
        self.outcome.seconds = seconds
        return self.outcome

    def free(self) -> _Connection | None:
        if self.idle:
            return self.idle.pop()
        if len(self.open) >= self.most:
            return None
        connection = _Connection(self.address)
        self.open[connection.socket.fileno()] = connection
        self.poller.register(connection.socket, select.EPOLLIN)
        return connection

    def send(self, connection: _Connection) -> None:
        try:
            connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.end(connection, "connection reset")
            return
        wanted = select.EPOLLIN | (select.EPOLLOUT if connection.unsent else 0)
        self.poller.modify(connection.socket, wanted)

    def receive(self, connection: _Connection, now: float) -> None:
        try:
            piece = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.end(connection, "" if connection in self.idle else "connection closed")
            return
        connection.got += piece
        head, mark, body = connection.got.partition(b"\r\n\r\n")
        if not mark or len(body) < int(_value(head, b"content-length") or 0):
            return
        self.count(head[9:12].decode(), now - connection.due, now)
        connection.got = b""
        if _value(head, b"connection").lower() == b"close":
            self.end(connection)
        else:
            self.idle.append(connection)

    def count(self, status: str, took: float, now: float) -> None:
        if status == "200":
            self.outcome.answered.append(took)
            self.outcome.finished.append(now)
        elif status == "503":
            self.outcome.refused.append(took)
        else:
            self.outcome.others[status] += 1

    def end(self, connection: _Connection, why: str = "") -> None:
        if why:
            self.outcome.others[why] += 1
        if connection in self.idle:
            self.idle.remove(connection)
        self.poller.unregister(connection.socket)
        del self.open[connection.socket.fileno()]
        connection.socket.close()


def _value(head: bytes, name: bytes) -> bytes:
    _, _, rest = head.lower().partition(b"\r\n" + name + b":")
    return rest.split(b"\r\n", 1)[0].strip()


def post(photo: bytes, kind: str = "image/jpeg", *, keep: bool = True) -> bytes:
    """The bytes of a POST of a picture to /predict. keep: the connection; else each request needs one of its own."""
    return b"POST /predict HTTP/1.1\r\nHost: kiln\r\n%bContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        b"" if keep else b"Connection: close\r\n",
        kind.encode(),
        len(photo),
        photo,
    )
