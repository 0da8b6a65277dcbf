"""A closed-loop load generator: each user posts, waits for the answer, and posts again. One thread, plain sockets.

Its twin loadtest/openloop.py sends when requests are due. This one answers the question of how response time and
throughput change with the number of users that are served at a time.
"""

from __future__ import annotations

import collections
import contextlib
import selectors
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .tls import Tls

_PATIENCE = 30.0  # seconds for one answer
_PAUSE = 0.1  # seconds until a user tries again whose connection failed
_TICK = 0.05  # seconds


@dataclass
class Outcome:
    """What became of the requests. answered: seconds from sending a request to the end of its answer, 200 alone."""

    seconds: float
    answered: list[float] = field(default_factory=list)
    errors: collections.Counter[str] = field(default_factory=collections.Counter)


class _User:
    """One connection and what is under way on it."""

    def __init__(self, turn: int) -> None:
        self.turn = turn  # which request is next
        self.socket: socket.socket | None = None
        self.unsent = memoryview(b"")
        self.got = b""
        self.sent = 0.0
        self.rests_until = 0.0


def run(
    address: tuple[str, int], requests: Sequence[bytes], users: int, seconds: float, tls: Tls | None = None
) -> Outcome:
    """Post `requests` in turns. What is under way at the end is waited for; it counts towards times, not seconds."""
    with contextlib.closing(_Users(address, requests, users, seconds, tls)) as generator:
        return generator.run()


class _Users:
    def __init__(
        self, address: tuple[str, int], requests: Sequence[bytes], users: int, seconds: float, tls: Tls | None
    ) -> None:
        self.address, self.requests, self.tls = address, requests, tls
        self.users = [_User(number * len(requests) // users) for number in range(users)]
        self.selector = selectors.DefaultSelector()
        self.outcome = Outcome(seconds)

    def close(self) -> None:
        for user in self.users:
            if user.socket is not None:
                user.socket.close()
        self.selector.close()

    def run(self) -> Outcome:
        started = time.perf_counter()
        end = started + self.outcome.seconds
        resting = collections.deque(self.users)
        while (now := time.perf_counter()) < end or self.selector.get_map():
            while resting and resting[0].rests_until <= now < end:
                self.post(resting.popleft(), now)
            for key, _ in self.selector.select(_TICK):
                user: _User = key.data
                if not self.step(user):
                    continue
                now = time.perf_counter()
                if user.rests_until > now:
                    resting.append(user)
                elif now < end:
                    self.post(user, now)
            if now > end + _PATIENCE:
                self.outcome.errors["no answer"] += len(self.selector.get_map())
                break
        return self.outcome

    def post(self, user: _User, now: float) -> None:
        if user.socket is None:
            family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
            plain = socket.socket(family, socket.SOCK_STREAM)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setblocking(False)
            user.socket = self.tls.wrap(plain) if self.tls else plain
            user.socket.connect_ex(self.address)
        user.unsent, user.got, user.sent = memoryview(self.requests[user.turn]), b"", now
        user.turn = (user.turn + 1) % len(self.requests)
        self.selector.register(user.socket, selectors.EVENT_WRITE, user)

    def step(self, user: _User) -> bool:
        """Send or receive what can be. True when the request is done with, well or badly."""
        assert user.socket is not None
        try:
            if user.unsent:
                user.unsent = user.unsent[user.socket.send(user.unsent) :]
                self.selector.modify(user.socket, selectors.EVENT_WRITE if user.unsent else selectors.EVENT_READ, user)
                return False
            piece = user.socket.recv(65536)
        except BlockingIOError:
            return False
        except ssl.SSLWantReadError:  # also while sending: the server's part of the handshake
            self.selector.modify(user.socket, selectors.EVENT_READ, user)
            return False
        except ssl.SSLWantWriteError:
            self.selector.modify(user.socket, selectors.EVENT_WRITE, user)
            return False
        except ssl.SSLEOFError:
            return self.failed(user, "connection closed")
        except OSError as fault:
            return self.failed(user, fault.strerror or "connection lost")
        if not piece:
            return self.failed(user, "connection closed")
        user.got += piece
        head, mark, body = user.got.partition(b"\r\n\r\n")
        try:
            if not mark or not _complete(head, body):
                return False
        except ValueError:
            return self.failed(user, "answer that is no HTTP")
        self.selector.unregister(user.socket)
        self.count(user, head[9:12].decode(errors="replace"))
        if _value(head, b"connection").lower() == b"close":
            user.socket.close()
            user.socket = None
        return True

    def count(self, user: _User, status: str) -> None:
        if status == "200":
            self.outcome.answered.append(time.perf_counter() - user.sent)
        else:
            self.outcome.errors[f"status {status}"] += 1

    def failed(self, user: _User, why: str) -> bool:
        assert user.socket is not None
        self.outcome.errors[why.lower()] += 1
        self.selector.unregister(user.socket)
        user.socket.close()
        user.socket = None
        user.rests_until = time.perf_counter() + _PAUSE
        return True


def _complete(head: bytes, body: bytes) -> bool:
    """Is the body all there? Raises ValueError where its length cannot be read."""
    if not _value(head, b"transfer-encoding").endswith(b"chunked"):
        return len(body) >= int(_value(head, b"content-length") or 0)
    at = 0
    while (line_end := body.find(b"\r\n", at)) >= 0:
        size = int(body[at:line_end].partition(b";")[0], 16)
        if size < 0:
            raise ValueError("a chunk of less than nothing")
        if size == 0:  # then come trailers, each a line, and an empty line
            return b"\r\n\r\n" in body[line_end:]
        at = line_end + 2 + size + 2
    return False


def _value(head: bytes, name: bytes) -> bytes:
    _, _, rest = head.lower().partition(b"\r\n" + name + b":")
    return rest.split(b"\r\n", 1)[0].strip()


def post(host: str, path: str, body: bytes, kind: str, more: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a POST. more: headers besides those of its body."""
    headers = {"Host": host, "Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body
