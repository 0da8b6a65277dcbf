"""The connections of a worker: who is let in, what has arrived, and what becomes of it.

Requests that are here as a whole are admitted to the queue or refused (worker.py); what is still on its way is gathered
(arriving.py), or left to a thread (threads.py) where it is not plain.

The master imports this file, so it imports neither the app nor an engine.
"""

from __future__ import annotations

import functools
import math
import socket
import time
from selectors import EVENT_READ

from gunicorn import util
from gunicorn.workers.gthread import TConn

from . import answers, plain
from .arriving import Bodies, Heads
from .clients import HEAD_BYTES, Idle, discard, is_gone, is_whole, parser_of, read_now, send_now
from .threads import Threads

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FEW_CONNECTIONS = 64
TURN_SECONDS = 0.001  # in which another worker wakes and takes a connection
LONGEST_TURN = 10
ACCEPTS = 512  # connections taken at a look, at most
QUIET_SECONDS = 0.1  # after which those who come are no queue that had been left
FIRST_ACCEPTS = 1 / 8  # twice that at each look: the first four take one each, and meanwhile others wake


class Connections(Threads):
    """Meets clients. `admit`, `overloaded`, `refuse_unread`, `job` and `work` are the queue's, in worker.py."""

    def load_wsgi(self) -> None:
        """Nobody is there yet."""
        super().load_wsgi()
        self.express = self.parts["express"]
        self.keep_seconds = self.cfg.keepalive  # read once: gunicorn looks each setting up anew, half a microsecond
        self.heads, self.bodies = Heads(), Bodies()
        self.keepalived_conns, self.pending_conns = Idle(), Idle()
        self.waiting_conns: set[TConn] = set()  # whose request stands in the queue
        self.others_turn = -math.inf  # until then
        self.accepts, self.accepted = (
            FIRST_ACCEPTS,
            -math.inf,
        )  # connections to take at the next look; when the last was
        self.met = 0  # connections so far; `nr_conns` does not count those that are closed again at once

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """A connection that was kept has something. It stays in the poller while its requests are plain."""
        if conn in self.waiting_conns:  # more of it, or its end: seen when its turn comes
            self.poller.unregister(client)
            conn.polled = False
            return
        if conn in self.heads:
            self.gather_head(conn)
            return
        if conn in self.bodies:
            self.gather_body(conn)
            return
        conn.polled = True
        self.keepalived_conns.remove(conn)
        self.take(conn, self.receive(conn))

    def enqueue_req(self, conn: TConn) -> None:
        """A request on a new connection, or one that was read along with the request before it."""
        self.met += 1
        conn.polled = False
        if conn.parser is not None and conn.parser.unreader.buf.getvalue():
            self.hand_over(conn, self.handle, conn)  # a thread's, or a client's pipeline would hold the main loop
        elif (data := self.receive(conn)) or data is None or conn.data_ready:
            self.take(conn, data)
        else:
            self.await_first_byte(conn)

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection; soon twice as many as last time where those did not empty the kernel's queue.

        A worker takes one: with connections that are kept alive, the one that wakes first would else keep all clients
        for itself. If there are still some at its next look, no other is idle, and they must not wait where nobody
        counts them: a request's deadline begins when it is read. So one that has many waiting takes all at once.
        """
        now = time.monotonic()
        if now > self.accepted + QUIET_SECONDS:
            self.accepts = FIRST_ACCEPTS
        self.accepted = now
        for _ in range(ACCEPTS if len(self.waiting_conns) > FEW_CONNECTIONS else max(1, int(self.accepts))):
            before = self.met
            super().accept(listener)
            if self.met == before:
                self.accepts = FIRST_ACCEPTS
                return
            if self.nr_conns >= self.worker_connections:
                self.make_room()
                if self.nr_conns >= self.worker_connections:
                    return
            if self.busy >= self.cfg.threads:  # what the main loop answers needs none; another worker may have one
                self.give_way(1)
            if self.others_turn > time.monotonic():
                return
        self.accepts = min(2 * self.accepts, ACCEPTS)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Listen, unless it is another worker's turn."""
        super().set_accept_enabled(enabled and time.monotonic() >= self.others_turn)

    def give_way(self, turns: int) -> None:
        """The next connection is another worker's, if there is one that takes it in time."""
        if self.cfg.workers > 1:
            self.others_turn = time.monotonic() + TURN_SECONDS * min(turns, LONGEST_TURN)

    def make_room(self) -> None:
        """Close the connection that has been idle for longest: thousands of them must not keep others out."""
        for idle in (self.pending_conns, self.keepalived_conns):
            if idle:
                idle[0].timeout = -math.inf
                break
        self.murder_pending()
        self.murder_keepalived()

    def receive(self, conn: TConn) -> bytes | None:
        """What a connection has sent. None where that was a request, and is refused already: of one that there is no
        time for, the body is not even copied."""
        if not self.overloaded():
            return read_now(conn.sock)
        data = read_now(conn.sock, plain.MAX_HEAD)
        request = plain.framed(data) if self.express else None
        if request and discard(conn.sock, request.ends - len(data)):
            self.refuse_unread(conn, request, plain.ids(data, request))
            return None
        return data + read_now(conn.sock)

    def take(self, conn: TConn, data: bytes | None) -> None:
        """Let a request wait for its turn, refuse it, or leave it to the threads where it is not here as a whole."""
        if data is None:
            return
        if not data and is_gone(conn.sock):
            self.drop(conn)
            return
        request = plain.read(data)
        if request and request.ends > len(data):
            self.await_body(conn, data, request)
        elif request or is_whole(data, conn.sock):
            self.admit(conn, data, None, request)
        elif len(data) < HEAD_BYTES and b"\r\n\r\n" not in data:
            self.await_head(conn, data)
        else:
            self.read_on(conn, data)

    def await_head(self, conn: TConn, data: bytes) -> None:
        """Gather the rest of a head, unless more of it would not help."""
        if hopeless := plain.beyond_hope(data):
            self.read_on(conn, hopeless)
        else:
            self.heads.begin(conn, data, time.monotonic() + answers.HEAD_SECONDS)
            self.enter_poller(conn)

    def await_body(self, conn: TConn, data: bytes, request: plain.Plain) -> None:
        """Gather the rest of a plain request, or leave it to a thread where there is no room for it.

        A client that wants to be told so before it sends its body is told so. One whose body would be refused for its
        size gets to know that instead, and at once.
        """
        size = request.ends - request.begins
        waits = "expect" in request.fields and len(data) == request.begins
        if waits and size > self.body_bytes:
            self.work(self.job(conn, data, None, None))
            return
        kept, known = data, request
        if "expect" in request.fields:
            kept = plain.expectation_met(data)
            known = plain.read(kept)
        late = time.monotonic() + self.body_seconds
        if size <= self.body_bytes and self.bodies.begin(conn, kept, known, late):
            if not waits or send_now(conn.sock, conn, CONTINUE):  # so short that the kernel takes all of it or nothing
                self.gather_body(conn)
                return
            self.bodies.end(conn)
        self.read_on(conn, data)

    def await_first_byte(self, conn: TConn) -> None:
        """Leave a new connection that is silent to the poller; browsers open some in advance.

        The next one is another worker's, as it is where this one has a request to answer, and the longer so the more
        this one has. With many connections chance shares them fairly enough.
        """
        if self.nr_conns <= FEW_CONNECTIONS:
            self.give_way(self.nr_conns)
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + self.keep_seconds
        self.pending_conns.append(conn)
        ready = functools.partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, EVENT_READ, ready)

    def gather_head(self, conn: TConn) -> None:
        """More of a head, or its end."""
        head = self.heads.read(conn)
        if head.ended:
            self.read_on(conn, self.heads.end(conn).sent())
        elif head.is_whole:
            self.take(conn, self.heads.end(conn).sent())
        elif hopeless := plain.beyond_hope(head.data):
            self.heads.end(conn)
            self.read_on(conn, hopeless)

    def gather_body(self, conn: TConn) -> None:
        """More of a body, or its end."""
        body = self.bodies.read(conn)
        if body.is_whole:
            self.bodies.end(conn)
            self.admit(conn, body.head, body.data, body.request)
        elif body.ended:
            self.read_on(conn, self.bodies.end(conn).sent())
        else:
            self.enter_poller(conn)

    def enter_poller(self, conn: TConn) -> None:
        """More is to come."""
        if not conn.polled:
            self.poller.register(conn.sock, EVENT_READ, functools.partial(self.on_client_socket_readable, conn))
            conn.polled = True

    def leave_poller(self, conn: TConn) -> None:
        """Whoever works on it now waits for its client alone."""
        if conn.polled:
            self.poller.unregister(conn.sock)
            conn.polled = False

    def read_on(self, conn: TConn, data: bytes, *, late: bool = False) -> None:
        """Leave a request to a thread. data: what was read of it. late: its time is over, as the thread will tell."""
        self.leave_poller(conn)
        parser_of(conn).unreader.unread(data)
        conn.data_ready = conn.data_ready or bool(data)
        conn.late = late
        self.hand_over(conn, self.handle, conn)

    def drop(self, conn: TConn) -> None:
        """Close a connection whose client sends no more, at once: no thread is needed for that."""
        self.leave_poller(conn)
        util.close(conn.sock)
        self.nr_conns -= 1

    def finish(self, conn: TConn, answer: bytes, *, keep: bool, request: plain.Plain | None = None) -> None:
        """Send an answer to a request of which nothing is left to read, unless the connection is not to be kept.

        request: where it is a plain one. If its client closes the connection, so do we, at once: it sends no more, and
        the kernel takes the answer to it. Others are waited for, in a thread.
        """
        conn.unsent = b""
        sent = send_now(conn.sock, conn, answer)
        if sent and request and not request.keep:
            self.drop(conn)
        elif not sent or not keep:
            self.leave_poller(conn)
            parser_of(conn)
            self.take_leave(conn, keep)
        elif conn.polled:
            conn.timeout = time.monotonic() + self.keep_seconds
            self.keepalived_conns.append(conn)
        else:
            self.keep(conn)
