"""The threads of a worker: they read from and write to clients that must be waited for, and no wait is unbounded.

gunicorn alone would answer broken requests in HTML, wait for ever for a head or body that trickles in, and stop its
main loop for two seconds with each connection that a client leaves open. Each override below mends one of these.

The master imports this file, so it imports neither the app nor an engine.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker

from . import answers, plain
from .clients import FAREWELL_SECONDS, OneSend, parser_of, part_from, send_all

DRAIN_BYTES = 64 * 1024  # of a body that the app did not want; gunicorn reads no further and closes the connection
WATCH = (b"GET /live", b"GET /ready", b"GET /metrics")


def unread(environ: dict[str, Any]) -> int:
    """Bytes of a body of known length that the app has not read."""
    return getattr(environ["wsgi.input"].reader, "length", 0)


class Answered:
    """What `finish_request` asks of a future, for a request that was answered at once on a connection to keep."""

    def result(self) -> bool:
        """Keep it."""
        return True

    def cancelled(self) -> bool:
        """Never."""
        return False


class Threads(ThreadWorker):
    """gthread, with bounded waiting for clients and one form of errors."""

    busy = 0  # connections that are in the hands of the threads or wait for one; counted in the main loop alone

    def load_wsgi(self) -> None:
        """Tell the app that its body has a deadline, and obey its `Connection: close`, which gunicorn drops.

        Announce that, too, where gunicorn is going to close the connection because of a long body that was not read.
        """
        super().load_wsgi()
        app, self.main_loop = self.wsgi, threading.get_ident()
        self.parts = parts = app.extensions["kiln"]
        self.body_seconds, self.body_bytes = parts["settings"].body_timeout, parts["settings"].max_body_bytes
        self.admission, self.recorder, self.dialects = parts["admission"], parts["recorder"], parts["dialects"]
        self.watch = WATCH + tuple(f"GET {path}{end}".encode() for path in self.dialects.probes for end in " ?")
        self.working: dict[TConn, float] = {}  # what threads compute, since when
        self.parting: set[TConn] = set()  # whose clients threads wait for to close their side
        self.reading = threading.local()  # .conn: what a thread reads from; gunicorn does not tell handle_error

        def closing(environ: dict[str, Any], start_response: Any) -> Any:
            environ["kiln.body_deadline"] = True
            client = environ["gunicorn.socket"]
            environ["kiln.queued"], environ["kiln.body_held_back"] = client.queued, client.held_back

            def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
                if ("Connection", "close") in headers or client.held_back or unread(environ) >= DRAIN_BYTES:
                    start_response.__self__.force_close()  # gunicorn's Response
                return start_response(status, headers, exc_info)

            return app(environ, start)

        self.wsgi = closing

    def hand_over(self, conn: TConn, work: Callable[..., Any], *arguments: Any) -> None:
        """Do it in a thread, then `finish_request` in the main loop."""
        self.busy += 1
        conn.handed = conn.arrived = time.monotonic()
        done = self.tpool.submit(work, *arguments)
        done.add_done_callback(lambda future: self.method_queue.defer(self.finish_request, conn, future))

    def take_leave(self, conn: TConn, keep: bool) -> None:
        """Let a thread `deliver`. A client that has all of its answer sees its end at once, whenever that is."""
        if not conn.unsent and not keep:
            with contextlib.suppress(OSError):  # it is gone
                conn.sock.shutdown(socket.SHUT_WR)
        self.hand_over(conn, self.deliver, conn, keep)

    def deliver(self, conn: TConn, keep: bool) -> bool:
        """The rest of an answer that its client was slow to take, and the farewell; in a thread of the pool."""
        send_all(conn.sock, conn.unsent)
        if not keep:
            self.part(conn)
        return keep

    def part(self, conn: TConn) -> None:
        """Close a connection in a thread: it waits for the client to close its side.

        gunicorn does so in the main loop, which would neither accept connections nor tell the master that it lives. It
        also throws less away than a client may send, and nginx answers 502 where it cannot send a body to its end.
        """
        self.parting.add(conn)
        try:
            # Half of the threads at most go along with a client that goes on for long.
            patient = len(self.parting) <= self.cfg.threads // 2
            part_from(conn.sock, self.body_seconds if patient else FAREWELL_SECONDS, self.body_bytes)
        finally:
            self.parting.discard(conn)

    def handle(self, conn: TConn) -> Any:
        """Answer one request, in a thread of the pool. True to keep the connection."""
        conn.queued = time.monotonic() - conn.arrived
        keep = self.answer(conn)
        if not keep:
            self.part(conn)
        return keep

    def answer(self, conn: TConn) -> Any:
        """Read and answer one request. True to keep the connection."""
        conn.data_ready = True
        conn.unsent = b""
        seconds = 0.0 if getattr(conn, "late", False) else answers.HEAD_SECONDS
        reader = parser_of(conn).unreader
        reader.first = b""
        reader.until(seconds, answers.HeadTimeout)
        self.reading.conn = conn
        return super().handle(conn)

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """The head is in: from now on the body has its own time."""
        conn.parser.unreader.until(0.0 if getattr(conn, "late", False) else self.body_seconds, TimeoutError)
        if threading.get_ident() != self.main_loop and (answer := self.late_answer(req, conn)):
            conn.sock.sendall(answer)
            return False
        queued = None if req.method == "GET" else conn.queued  # as in `admit`; a thread's time is not counted, either
        client, conn.sock = conn.sock, OneSend(conn.sock, queued, self.holds_back(req, conn))
        if threading.get_ident() != self.main_loop:  # once its body must be here, it counts as work
            self.working.setdefault(conn, time.monotonic() + self.body_seconds)
        try:
            keep = super().handle_request(req, conn)
            self.working.pop(conn, None)  # already: a client that is slow to take its answer is no hang
            conn.unsent = conn.sock.flush(wait=threading.get_ident() != self.main_loop)
        finally:
            conn.sock = client
            self.working.pop(conn, None)
        return keep

    def holds_back(self, req: Any, conn: TConn) -> bool:
        """Whether the client waits to be told to send a body that is too large, and so is never told.

        gunicorn tells each client that asked, also the one whose body has begun to arrive; those are not told, either.
        """
        if not req._expected_100_continue:
            return False
        begun = conn.parser.unreader.buf.tell() > 0
        too_large = getattr(req.body.reader, "length", 0) > self.body_bytes
        req._expected_100_continue = not begun and not too_large
        return too_large and not begun

    def late_answer(self, req: Any, conn: TConn) -> bytes:
        """The refusal of a request that has waited for a thread until its deadline; nothing where it has not, for those
        that `admit` lets go first, and in a worker that stops: whoever it has taken is answered."""
        if not self.alive or f"{req.method} {req.path} ".encode().startswith(self.watch):
            return b""
        fields = {name.lower(): value for name, value in req.headers}
        started, patience = fields.get("x-request-start", ""), fields.get("x-deadline-ms", "")
        if self.admission.in_time(time.monotonic(), self.admission.expiry(conn.handed, started, patience)):
            return b""
        waited = time.monotonic() - conn.handed
        offered_id = self.dialects.offered_id(fields.get)
        return self.refusal("deadline_exceeded", offered_id, req.method, req.path, waited, keep=False)

    def refusal(self, code: str, offered_id: str, method: str, path: str, queued: float, *, keep: bool) -> bytes:
        """The whole answer, with the status and in the form of the dialect that the path belongs to; it is recorded."""
        dialect = self.dialects.of(path)
        status = dialect.overload_status
        message, request_id = self.admission.refusal(code, offered_id, method, path, queued, status, dialect.name)
        return answers.refused(dialect.error, status, code, message, request_id, keep=keep)

    def keep(self, conn: TConn) -> None:
        """A request was answered in the main loop: wait for the next one on its connection."""
        parser_of(conn)
        super().finish_request(conn, Answered())

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """Back in the main loop from a thread: forget a connection that was closed there."""
        self.busy -= 1
        if conn.sock.fileno() < 0:
            self.nr_conns -= 1
        else:
            super().finish_request(conn, fs)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer what never reached the app in the form of its path's dialect, not in gunicorn's HTML."""
        method, path = plain.target(self.reading.conn.parser.unreader.first)
        dialect = self.dialects.of(path)
        request_id = uuid.uuid4().hex
        who = addr[0] if addr else "the unix socket"
        status, code, message = answers.of_fault(exc)
        told = {"fields": {"request_id": request_id}}
        if status == 500:
            self.log.exception("Failed on request %s of %s", request_id, who, extra=told)
        else:
            # Its kind alone: of a broken head the rest may hold a client's key.
            self.log.info("Refused request %s of %s: %s", request_id, who, type(exc).__name__, extra=told)
        self.recorder.unread(code, status, request_id, dialect.name, method, path)
        content = dialect.error(status, code, message, request_id)
        answer = answers.written(status, request_id, content, keep=False)
        try:
            util.write_nonblock(client, answer)  # whoever does not read is not waited for
        except OSError as gone:
            self.log.debug("Nobody took the answer to %s: %s", request_id, gone)
