"""What a worker does with a client's socket: read until a deadline, look without waiting, send in one piece, close."""

from __future__ import annotations

import errno
import fcntl
import math
import re
import socket
import struct
import sys
import termios
import time
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn

ANSWER_SECONDS = 15  # in which the client takes nothing of the answer
ANSWER_RATE = 16 * 1024  # bytes a second that it must take on average, beyond these seconds
FAREWELL_SECONDS = 2.0  # of silence, after which a client that is to close its side is not waited for
TICK_SECONDS = 0.25  # how exactly deadlines are kept
HEAD_BYTES = 8192
READ_BYTES = 65536  # in one piece; most photos need no second one
_THROW_AWAY = socket.MSG_DONTWAIT | (socket.MSG_TRUNC if sys.platform == "linux" else 0)
_FOUND = array("i", (0,))
_LENGTH = re.compile(rb"\nContent-Length:[ \t]*([^\r]*)", re.IGNORECASE)
_WAITS = re.compile(rb"\n(?:Transfer-Encoding|Expect)[ \t]*:", re.IGNORECASE)


class Idle:
    """Connections in the order in which they came: what gunicorn asks of a deque, which takes longer to remove one the
    more there are: 7 microseconds at a thousand connections, against 0.1 here."""

    def __init__(self) -> None:
        self._conns: OrderedDict[TConn, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._conns)

    def __iter__(self) -> Iterator[TConn]:
        return iter(self._conns)

    def __getitem__(self, number: int) -> TConn:
        if number:
            raise IndexError("Only the first can be had by its number.")
        return next(iter(self._conns))

    def append(self, conn: TConn) -> None:
        """The newest."""
        self._conns[conn] = None

    def remove(self, conn: TConn) -> None:
        """Any. Raises ValueError where it is not among them."""
        try:
            del self._conns[conn]
        except KeyError as missing:
            raise ValueError("There is no such connection.") from missing

    def popleft(self) -> TConn:
        """Remove the oldest and return it."""
        return self._conns.popitem(last=False)[0]


class Reader(SocketUnreader):
    """Reads a client's socket until a deadline.

    A timeout of the socket alone bounds one wait: a client that sends a byte now and then would never meet it. Here
    the kernel ends each wait after a tick, which unlike Python's timeouts costs nothing where data is there already.

    first: how the request begins that is read, up to the end of its first line at least.
    """

    def __init__(self, client: socket.socket) -> None:
        super().__init__(client, READ_BYTES)
        self.deadline = math.inf
        self.late: type[Exception] = TimeoutError
        self.first = b""
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(TICK_SECONDS * 1e6)))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", ANSWER_SECONDS, 0))

    def read(self, size: int | None = None, read_ahead: int | None = None) -> bytes:
        """See Unreader."""
        data: bytes = super().read(size, read_ahead)
        if len(self.first) < HEAD_BYTES and b"\n" not in self.first:
            self.first += data[:HEAD_BYTES]
        return data

    def until(self, seconds: float, late: type[Exception]) -> None:
        """From now on read for so many seconds, then raise `late`."""
        self.deadline = time.monotonic() + seconds
        self.late = late

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next piece."""
        while time.monotonic() < self.deadline:
            try:
                return super().chunk(size_hint)
            except BlockingIOError:  # a tick of silence
                pass
        raise self.late


class OneSend:
    """A client's socket that sends the head and the body of an answer in one piece.

    gunicorn sends them in two, and each wakes the other side: together they cost as much as parsing the request.
    queued: seconds that the request waited for its turn; None where it did not. held_back: whether the client has not
    been told to send the body that it asked about. The app finds both here.
    """

    def __init__(self, client: socket.socket, queued: float | None = None, held_back: bool = False) -> None:
        self.client = client
        self.queued = queued
        self.held_back = held_back
        self.held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def sendall(self, data: bytes) -> None:
        """Hold it back; whatever is answered here is in memory already."""
        self.held += data

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Hold that back too: it must not overtake the head."""
        file.seek(offset)
        content: bytes = file.read(-1 if count is None else count)
        self.held += content
        return len(content)

    def flush(self, *, wait: bool) -> bytes:
        """Send what is held; the rest that the client does not take at once comes back, unless it is waited for."""
        if wait:
            send_all(self.client, self.held)
            return b""
        try:
            return self.held[self.client.send(self.held, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return self.held


def read_now(client: socket.socket, most: int = READ_BYTES) -> bytes:
    """What has arrived, without waiting; empty where that is nothing, or the client is gone."""
    try:
        return client.recv(most, socket.MSG_DONTWAIT)
    except OSError:
        return b""


def discard(client: socket.socket, count: int) -> bool:
    """Throw away what comes next of what has arrived. False where less has, and then nothing is thrown away.

    Linux does not even copy it (MSG_TRUNC, tcp(7)); what it hands over has its length and no meaning.
    """
    try:
        return count <= _arrived(client) and (not count or len(client.recv(count, _THROW_AWAY)) == count)
    except OSError:
        return False


def _arrived(client: socket.socket) -> int:
    """Bytes that can be read. Raises OSError. For the main loop alone, which has one place for the answer."""
    fcntl.ioctl(client, termios.FIONREAD, _FOUND)
    return _FOUND[0]


def is_whole(data: bytes, client: socket.socket) -> bool:
    """Whether a request has arrived from its first to its last byte, so that reading it will not wait.

    data: what was read of it already. What is not sure (a chunked body, a head over 8 KiB) counts as not whole.
    """
    end = data.find(b"\r\n\r\n", 0, HEAD_BYTES) + 4
    if end < 4 or _WAITS.search(data, 0, end):
        return False
    lengths = _LENGTH.findall(data, 0, end)
    if not lengths:
        return True
    try:
        return len(lengths) == 1 and len(data) + _arrived(client) >= end + int(lengths[0])
    except (OSError, ValueError):
        return False


def is_gone(client: socket.socket) -> bool:
    """Whether the client has closed its side, as far as is known. One that only will not send more counts too."""
    try:
        return not client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def send_now(client: socket.socket, conn: TConn, answer: bytes) -> bool:
    """Send it without waiting. False where the client did not take all of it; conn.unsent is the rest."""
    try:
        conn.unsent = answer[client.send(answer, socket.MSG_DONTWAIT) :]
    except BlockingIOError:
        conn.unsent = answer
    except OSError:  # the client is gone, which reading will show again
        conn.unsent = b""
    return not conn.unsent


def send_all(client: socket.socket, answer: bytes) -> None:
    """Send it and wait, but not for a client that takes a little now and then. Raises BrokenPipeError for that one."""
    deadline = time.monotonic() + ANSWER_SECONDS + len(answer) / ANSWER_RATE
    rest = memoryview(answer)
    while rest:
        try:
            rest = rest[client.send(rest) :]
        except BlockingIOError:  # it took nothing for ANSWER_SECONDS
            deadline = 0.0
        if rest and time.monotonic() > deadline:
            raise BrokenPipeError(errno.EPIPE, "the client is too slow to take its answer")


def part_from(client: socket.socket, seconds: float, most: int) -> None:
    """Close a connection once its client has the answer. It may still be sending a body that nobody wanted.

    If the socket were closed with some of that unread, the kernel would reset the connection, and the answer would be
    lost on the way. So what comes is thrown away until the client closes its side, is silent for FAREWELL_SECONDS, or
    has sent `most` bytes or gone on for `seconds`.
    """
    deadline = time.monotonic() + seconds
    with client:
        try:
            client.shutdown(socket.SHUT_WR)
            client.settimeout(FAREWELL_SECONDS)
            while most > 0 and time.monotonic() < deadline and (data := client.recv(READ_BYTES)):
                most -= len(data)
        except OSError:
            pass  # it is gone, or silent


def parser_of(conn: TConn) -> RequestParser:
    """The connection's parser; made when it is first needed, which TConn.init would do, but with our reader."""
    if conn.parser is None:
        conn.parser = RequestParser(conn.cfg, conn.sock, conn.client)
        conn.parser.unreader = Reader(conn.sock)
    return conn.parser
