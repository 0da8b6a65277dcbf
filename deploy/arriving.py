"""Requests that are still on their way: the main loop gathers them, so that no thread waits for them.

A large body comes in many pieces, and what slow clients send trickles in. A thread that reads it holds one of few
places, and hands it over at a cost; here each piece is read when it is there. What is gathered is bounded: a head's
length, and `MOST` bytes of bodies in all. Whatever is beyond that, and bodies of requests that are not plain
(plain.py), the threads read.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from gunicorn.workers.gthread import TConn

from .clients import HEAD_BYTES, READ_BYTES
from .plain import Plain

MOST = 64 * 1024 * 1024  # bytes that one worker holds of bodies that are not there yet


@dataclass(eq=False, repr=False)
class Body:
    """One body. head: what was read up to it. got: bytes that are here, of as many as `data` has place for.
    late: when it must be here, on the clock of time.monotonic()."""

    head: bytes
    request: Plain
    data: bytearray
    got: int
    late: float
    ended: bool = False  # the client sends no more

    @property
    def is_whole(self) -> bool:
        """All of it is here."""
        return self.got == len(self.data)

    def sent(self) -> bytes:
        """All that the client has sent so far."""
        return self.head + self.data[: self.got]


@dataclass(eq=False, repr=False)
class Head:
    """The beginning of a request. late: as a body's."""

    data: bytes
    late: float
    ended: bool = False

    @property
    def is_whole(self) -> bool:
        """All of it is here, or more than a head may have."""
        return b"\r\n\r\n" in self.data or len(self.data) >= HEAD_BYTES

    def sent(self) -> bytes:
        """All that the client has sent so far."""
        return self.data


Part = TypeVar("Part", Head, Body)


class _Held(OrderedDict[TConn, Part]):
    """Those of one worker. All have the same time, so that they become late in the order in which they began."""

    def end(self, conn: TConn) -> Part:
        """Let go of it."""
        return self.pop(conn)

    def late(self, now: float) -> Iterator[TConn]:
        """Whose time is over; to be ended."""
        while self:
            conn, part = next(iter(self.items()))
            if part.late > now:
                return
            yield conn


class Heads(_Held[Head]):
    """Heads of which the end is not here yet."""

    def begin(self, conn: TConn, data: bytes, late: float) -> None:
        """Gather the rest of what begins with `data`."""
        self[conn] = Head(data, late)

    def read(self, conn: TConn) -> Head:
        """Take what has arrived, without waiting."""
        head = self[conn]
        try:
            piece = conn.sock.recv(READ_BYTES, socket.MSG_DONTWAIT)
            head.data += piece
            head.ended = not piece
        except BlockingIOError:
            pass
        except OSError:
            head.ended = True
        return head


class Bodies(_Held[Body]):
    """Bodies of plain requests."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def begin(self, conn: TConn, data: bytes, request: Plain, late: float) -> bool:
        """Gather the body of a request of which `data` is here. False where there is no room for it."""
        size = request.ends - request.begins
        if self._bytes + size > MOST:
            return False
        self._bytes += size
        place = bytearray(size)
        got = len(data) - request.begins
        place[:got] = data[request.begins :]
        self[conn] = Body(data[: request.begins], request, place, got, late)
        return True

    def read(self, conn: TConn) -> Body:
        """Take what has arrived, without waiting."""
        body = self[conn]
        place = memoryview(body.data)
        try:
            while not body.is_whole and not body.ended:
                count = conn.sock.recv_into(place[body.got :], 0, socket.MSG_DONTWAIT)
                body.got += count
                body.ended = not count
        except BlockingIOError:
            pass
        except OSError:
            body.ended = True
        return body

    def end(self, conn: TConn) -> Body:
        """Let go of it."""
        body = super().end(conn)
        self._bytes -= len(body.data)
        return body
