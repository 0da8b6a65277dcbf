"""gunicorn's threaded worker, fit to meet clients with no nginx in between. Wired in gunicorn.conf.py.

nginx keeps slow and broken clients away from the workers. Without it they meet these few threads, and gunicorn
alone would answer broken requests in HTML, wait for ever for a head or body that trickles in, and stop its main
loop for two seconds with each connection that a client leaves open. Each override below mends one of these; a
request that arrives whole pays microseconds for it. TLS and HTTP/2 are nginx's.

A worker has one core's worth of work. So requests that are here as a whole wait in one queue, which is bounded by
their deadlines (app/admission.py), and the main loop answers them one by one; threads would gain nothing and cost more
than Flask does. The threads read from and write to clients that must be waited for, and they do the work where the
engine answers several requests at once.

The master imports this file, so it imports neither the app nor an engine.
"""

from __future__ import annotations

import faulthandler
import functools
import math
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from selectors import EVENT_READ
from typing import Any, NamedTuple

from gunicorn import util
from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

from . import answers, plain
from .arriving import Bodies, Heads
from .clients import (
    HEAD_BYTES,
    TICK_SECONDS,
    Idle,
    OneSend,
    discard,
    is_gone,
    is_whole,
    parser_of,
    read_now,
    send_all,
    send_now,
)

LAST_BYTE_SECONDS = 1.0  # for a new connection that is silent when the worker stops: its request may be on the way
NOTIFY_SECONDS = 0.5
LOOK_SECONDS = 0.02  # how often a busy worker looks for new requests, to refuse at once those that it has no time for
WATCH = (b"GET /live", b"GET /ready", b"GET /metrics")
FEW_CONNECTIONS = 64
TURN_SECONDS = 0.001  # in which another worker wakes and takes a connection
LONGEST_TURN = 10
ACCEPTS = 512  # connections taken at a look of a busy worker
DRAIN_BYTES = 64 * 1024  # of a body that the app did not want; gunicorn reads no further and closes the connection
RETRY = (("Retry-After", "1"),)  # seconds
_CONFIG = "gunicorn.config"  # where hooks live that do nothing


class Job(NamedTuple):
    """A request that is here as a whole and waits; times are time.monotonic()'s."""

    conn: TConn
    data: bytes
    body: bytearray | None  # where that was gathered; else it is in data
    request: plain.Plain | None  # where it is one
    offered_id: str
    arrived: float
    expiry: float

    @property
    def keeps(self) -> bool:
        """Whether the client of a plain request keeps its connection."""
        return self.request is not None and self.request.keep


class Answered:
    """What `finish_request` asks of a future, for a request that was answered at once on a connection to keep."""

    def result(self) -> bool:
        """Keep it."""
        return True

    def cancelled(self) -> bool:
        """Never."""
        return False


def unread(environ: dict[str, Any]) -> int:
    """Bytes of a body of known length that the app has not read."""
    return getattr(environ["wsgi.input"].reader, "length", 0)


class Worker(ThreadWorker):
    """gthread, with one bounded queue, bounded waiting for clients and one form of errors."""

    def load_wsgi(self) -> None:
        """Tell the app that its body has a deadline, and obey its `Connection: close`, which gunicorn drops.

        Announce that, too, where gunicorn is going to close the connection because of a long body that was not read.
        Take the app's express way where nothing of gunicorn's own has to see each request.
        """
        super().load_wsgi()
        app, self.main_loop = self.wsgi, threading.get_ident()
        parts = app.extensions["kiln"]
        self.body_seconds, self.express = parts["settings"].body_timeout, parts["express"]
        self.body_bytes = parts["settings"].max_body_bytes
        self.heads, self.bodies = Heads(), Bodies()
        self.admission, self.gathers = parts["admission"], parts["store"].gathers
        self.recorder, self.dialects = parts["recorder"], parts["dialects"]
        self.watch = WATCH + tuple(f"GET {path}{end}".encode() for path in self.dialects.probes for end in " ?")
        self.gathering = False
        self.keepalived_conns, self.pending_conns = Idle(), Idle()
        self.others_turn = -math.inf  # until then
        self.free_since = -math.inf  # when the last piece of work ended
        self.working: dict[TConn, float] = {}  # what threads compute, since when
        self.reading = (
            threading.local()
        )  # .conn: what this thread reads from, which gunicorn does not tell handle_error
        self.waiting: deque[Job] = deque()
        self.waiting_conns: set[TConn] = set()
        hooks = (self.cfg.pre_request, self.cfg.post_request)
        if self.log.access_log_enabled or self.cfg.statsd_host or any(hook.__module__ != _CONFIG for hook in hooks):
            self.express = None

        def closing(environ: dict[str, Any], start_response: Any) -> Any:
            environ["kiln.body_deadline"] = True
            environ["kiln.queued"] = environ["gunicorn.socket"].queued

            def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
                if ("Connection", "close") in headers or unread(environ) >= DRAIN_BYTES:
                    start_response.__self__.force_close()  # gunicorn's Response
                return start_response(status, headers, exc_info)

            return app(environ, start)

        self.wsgi = closing

    # --- Life and death ---------------------------------------------------------------------------------------------

    def init_signals(self) -> None:
        """Write every thread's stack to the log when a worker crashes, or hangs and the master aborts it.

        gunicorn's own way runs in Python, which a worker that hangs in native code never gets back to.
        """
        super().init_signals()
        faulthandler.enable()

    notified = -math.inf

    def notify(self) -> None:
        """Tell the master that we live; seldom, because each time costs system calls and the timeout is seconds.

        A thread that hangs in its engine counts as this loop does: the master gets to know since when.
        """
        if (now := time.monotonic()) > self.notified + NOTIFY_SECONDS:
            since = min([now, *list(self.working.values())])
            os.utime(self.tmp.fileno(), (since, since))  # as gunicorn does, on the clock that the master reads
            self.notified = now

    def is_parent_alive(self) -> bool:
        """Without a master a worker stops, and says so to its clients as it does whenever it stops."""
        self.alive = self.alive and super().is_parent_alive()
        return self.alive

    # --- The queue ----------------------------------------------------------------------------------------------

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
        conn.polled = False
        if conn.parser is not None and conn.parser.unreader.buf.getvalue():
            self.hand_over(conn, self.handle, conn)  # a thread's, or a client's pipeline would hold the main loop
        elif (data := self.receive(conn)) or data is None or conn.data_ready or not self.alive:
            self.take(conn, data)
        else:
            self.await_first_byte(conn)

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection; several where work waits.

        An idle worker takes one at a time: with connections that are kept alive, the one that wakes first would else
        keep all clients for itself. If there are still some when a busy one looks, no other is idle.
        """
        for _ in range(ACCEPTS if self.waiting else 1):
            before = self.nr_conns
            super().accept(listener)
            if self.nr_conns == before:
                return
            if self.nr_conns >= self.worker_connections:
                self.make_room()

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
        if self.admission.admits(len(self.waiting) + self.busy, self.admission.deadline):
            return read_now(conn.sock)
        data = read_now(conn.sock, plain.MAX_HEAD)
        request = plain.read(data) if self.express else None
        if request and discard(conn.sock, request.ends - len(data)):
            self.refuse(self.job(conn, data, None, request), "overloaded")
            return None
        return data + read_now(conn.sock)

    def take(self, conn: TConn, data: bytes | None) -> None:
        """Let a request wait for its turn, refuse it, or leave it to the threads where it is not here as a whole."""
        if data is None:
            return
        request = plain.read(data) if self.express else None
        if request and request.ends > len(data):
            late = time.monotonic() + self.body_seconds
            fits = self.alive and request.ends - request.begins <= self.body_bytes
            if fits and self.bodies.begin(conn, data, request, late):
                self.gather_body(conn)
                return
            request = None
        if request or is_whole(data, conn.sock):
            self.admit(conn, data, None, request)
        elif self.alive and data and len(data) < HEAD_BYTES and b"\r\n\r\n" not in data:
            self.heads.begin(conn, data, time.monotonic() + answers.HEAD_SECONDS)
            self.enter_poller(conn)
        else:
            self.read_on(conn, data)

    def await_first_byte(self, conn: TConn) -> None:
        """Leave a new connection that is silent to the poller; browsers open some in advance.

        The next one is another worker's, as it is where this one has a request to answer, and the longer so the more
        this one has. With many connections chance shares them fairly enough.
        """
        if self.cfg.workers > 1 and self.nr_conns <= FEW_CONNECTIONS:
            self.others_turn = time.monotonic() + TURN_SECONDS * min(self.nr_conns, LONGEST_TURN)
        conn.sock.setblocking(False)
        conn.set_timeout()
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

    def read_on(self, conn: TConn, data: bytes, *, late: bool = False) -> None:
        """Leave a request to a thread. data: what was read of it. late: its time is over, as the thread will tell."""
        self.leave_poller(conn)
        parser_of(conn).unreader.unread(data)
        conn.data_ready = conn.data_ready or bool(data)
        conn.late = late
        self.hand_over(conn, self.handle, conn)

    def admit(self, conn: TConn, data: bytes, body: bytearray | None, request: plain.Plain | None) -> None:
        """Let a request that is here as a whole wait for its turn, or refuse it."""
        job = self.job(conn, data, body, request)
        now, expiry = job.arrived, job.expiry
        if data.startswith(self.watch):  # whoever watches over a busy node must not take it for a dead one
            self.work(job)
        elif not self.admission.in_time(now, expiry):
            self.refuse(job, "deadline_exceeded")
        elif self.admission.admits(len(self.waiting) + self.busy, expiry - now):
            self.waiting.append(job)
            self.waiting_conns.add(conn)
        else:
            self.refuse(job, "overloaded")

    def job(self, conn: TConn, data: bytes, body: bytearray | None, request: plain.Plain | None) -> Job:
        """What is to be done."""
        now = time.monotonic()
        fields = request.fields if request else plain.fields(data)
        expiry = self.admission.expiry(now, fields.get("x-request-start", ""), fields.get("x-deadline-ms", ""))
        return Job(conn, data, body, request, self.dialects.offered_id(fields.get), now, expiry)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Look who is there, then work until it is time to look again."""
        if not self.waiting:
            patience = timeout
        else:
            patience = LOOK_SECONDS if self.gathering and self.busy >= self.cfg.threads else 0
        if (left := self.others_turn - time.monotonic()) > 0:
            self.set_accept_enabled(False)  # the main loop enables it again
            patience = min(patience, left)
        if self.heads or self.bodies:
            patience = min(patience, TICK_SECONDS)
        super().wait_for_and_dispatch_events(patience)
        self.gathering = self.gathers()
        now = time.monotonic()
        for part in (self.heads, self.bodies):
            for conn in part.late(now):
                self.read_on(conn, part.end(conn).sent(), late=True)
        until = now + LOOK_SECONDS
        while self.waiting and now < until:
            if self.gathering and self.busy >= self.cfg.threads:
                break  # the next thread that is done wakes us
            job = self.waiting.popleft()
            self.waiting_conns.discard(job.conn)
            self.recorder.busy = bool(self.waiting)
            if not self.admission.in_time(now, job.expiry):
                self.refuse(job, "deadline_exceeded")
            elif now > job.arrived + LOOK_SECONDS and is_gone(job.conn.sock):
                self.refuse(job, "client_gone")
            elif self.gathering:
                self.leave_poller(job.conn)
                self.hand_over(job.conn, self.work_together, job)
            else:
                self.work(job, now - job.arrived)
                self.admission.worked((ended := time.monotonic()) - max(job.arrived, self.free_since))
                self.free_since = ended
            self.notify()  # many in a row must not look like one that hangs
            now = time.monotonic()
        self.recorder.busy = bool(self.waiting)
        self.recorder.backlog(len(self.waiting), self.busy)

    def work(self, job: Job, queued: float | None = None) -> None:
        """Answer a request that is here as a whole. queued: seconds that it stood in the queue, if it did."""
        answer = self.plain_answer(job, queued)
        if answer is not None:
            self.finish(job.conn, answer, keep=job.keeps)
            return
        conn = job.conn
        conn.queued = queued
        self.leave_poller(conn)
        parser_of(conn).unreader.unread(job.data + (job.body or b""))
        keep = self.answer(conn)
        if conn.unsent or not keep:
            self.hand_over(conn, self.deliver, conn, keep)
        else:
            super().finish_request(conn, Answered())

    def work_together(self, job: Job) -> Any:
        """As `work`, in a thread: the engine answers several requests at once (model/batching.py)."""
        began, beside = time.monotonic(), max(1, self.busy)
        conn = job.conn
        self.working[conn] = began
        try:
            parser_of(conn)
            if answer := self.plain_answer(job, began - job.arrived):
                self.working.pop(conn)
                conn.sock.setblocking(True)
                conn.unsent = answer
                return self.deliver(conn, job.keeps)
            conn.parser.unreader.unread(job.data + (job.body or b""))
            conn.data_ready = True
            conn.arrived = job.arrived
            return self.handle(conn)
        finally:
            self.working.pop(conn, None)
            self.admission.worked((time.monotonic() - began) / beside)

    def plain_answer(self, job: Job, queued: float | None) -> bytes | None:
        """The answer to a plain request, if it can be answered well."""
        if job.request is None or not self.alive or self.nr + 1 >= self.max_requests:
            return None
        path, fields, begins, *_ = job.request
        made = self.express(path, fields, job.data[begins:] if job.body is None else job.body, queued)
        if made is None:
            return None
        self.nr += 1
        request_id, answer = made
        return answers.written(
            200, request_id, answer.content, keep=job.keeps, kind=answer.kind, headers=answer.headers
        )

    def refuse(self, job: Job, code: str) -> None:
        """Answer that it comes at a bad time, without having worked on it."""
        self.recorder.busy = bool(self.waiting)
        method, path = ("POST", job.request.path) if job.request else plain.target(job.data)
        keep = self.alive and (job.keeps if job.request else plain.is_all(job.data))
        answer = self.refusal(code, job.offered_id, method, path, time.monotonic() - job.arrived, keep=keep)
        self.finish(job.conn, answer, keep=keep)

    def refusal(self, code: str, offered_id: str, method: str, path: str, queued: float, *, keep: bool) -> bytes:
        """The whole answer, with the status and in the form of the dialect that the path belongs to; it is recorded."""
        dialect = self.dialects.of(path)
        status = dialect.overload_status
        message, request_id = self.admission.refusal(code, offered_id, method, path, queued, status, dialect.name)
        content = dialect.error(status, code, message, request_id)
        return answers.written(status, request_id, content, keep=keep, headers=RETRY)

    def finish(self, conn: TConn, answer: bytes, *, keep: bool) -> None:
        """Send an answer to a request of which nothing is left to read, unless the connection is not to be kept."""
        conn.unsent = b""
        if not send_now(conn.sock, conn, answer) or not keep:
            self.leave_poller(conn)
            parser_of(conn)
            self.hand_over(conn, self.deliver, conn, keep)
        elif conn.polled:
            conn.set_timeout()
            self.keepalived_conns.append(conn)
        else:
            parser_of(conn)
            super().finish_request(conn, Answered())

    def leave_poller(self, conn: TConn) -> None:
        """Whoever works on it now waits for its client alone."""
        if conn.polled:
            self.poller.unregister(conn.sock)
            conn.polled = False

    # --- The threads ------------------------------------------------------------------------------------------------

    busy = 0  # connections that are in the hands of the threads or wait for one; counted in the main loop alone

    def hand_over(self, conn: TConn, work: Callable[..., Any], *arguments: Any) -> None:
        """Do it in a thread, then `finish_request` in the main loop. Threads take no more connections than they are."""
        self.busy += 1
        conn.handed = conn.arrived = time.monotonic()
        done = self.tpool.submit(work, *arguments)
        done.add_done_callback(lambda future: self.method_queue.defer(self.finish_request, conn, future))
        if self.busy >= self.cfg.threads:
            self.set_accept_enabled(False)  # the main loop enables it again

    def deliver(self, conn: TConn, keep: bool) -> bool:
        """The rest of an answer that its client was slow to take, and the farewell; in a thread of the pool."""
        send_all(conn.sock, conn.unsent)
        if not keep:
            util.close_graceful(conn.sock)
        return keep

    def set_accept_enabled(self, enabled: bool) -> None:
        """Listen, unless every thread has a connection, or it is another worker's turn."""
        ours = self.busy < self.cfg.threads and time.monotonic() >= self.others_turn
        super().set_accept_enabled(enabled and ours)

    def handle(self, conn: TConn) -> Any:
        """Answer one request, in a thread of the pool. True to keep the connection."""
        # A connection that is silent comes here in a worker that stops alone; gunicorn would wait for 5 s.
        if not conn.initialized and not conn.data_ready and not conn.wait_for_data(LAST_BYTE_SECONDS):
            return _DEFER
        conn.queued = time.monotonic() - conn.arrived
        keep = self.answer(conn)
        if not keep:
            # Waits up to 2 s for the client to close its side. gunicorn does so in the main loop, which would
            # neither accept connections nor tell the master that it lives.
            util.close_graceful(conn.sock)
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
        queued = None if req.method == "GET" else conn.queued  # as in `take`; a thread's time is not counted, either
        client, conn.sock = conn.sock, OneSend(conn.sock, queued)
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

    def late_answer(self, req: Any, conn: TConn) -> bytes:
        """The refusal of a request that has waited for a thread until its deadline; nothing where it has not, and for
        those that `take` lets go first."""
        if f"{req.method} {req.path} ".encode().startswith(self.watch):
            return b""
        fields = {name.lower(): value for name, value in req.headers}
        started, patience = fields.get("x-request-start", ""), fields.get("x-deadline-ms", "")
        if self.admission.in_time(time.monotonic(), self.admission.expiry(conn.handed, started, patience)):
            return b""
        waited = time.monotonic() - conn.handed
        offered_id = self.dialects.offered_id(fields.get)
        return self.refusal("deadline_exceeded", offered_id, req.method, req.path, waited, keep=False)

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """Back in the main loop: forget a connection that a thread has closed."""
        self.busy -= 1
        if conn.sock.fileno() < 0:
            self.nr_conns -= 1
        else:
            super().finish_request(conn, fs)

    def _cap_keepalive(self, deadline: float) -> None:
        """A stopping worker waits for no connection on which nothing was ever sent, either.

        It takes those that wait to be accepted, which would be cut off if this is the last worker, and then closes the
        door: whoever comes now is refused by the kernel, so that a proxy knows that its request has not run.
        """
        for part in (self.heads, self.bodies):
            for conn in part:
                self.read_on(conn, part.end(conn).sent())
        for listener in self.sockets:
            listener.setblocking(False)
            before = -1
            while before < self.nr_conns < self.worker_connections:
                before = self.nr_conns
                super().accept(listener)
            listener.close()
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer what never reached the app in the form of its path's dialect, not in gunicorn's HTML."""
        method, path = plain.target(self.reading.conn.parser.unreader.first)
        dialect = self.dialects.of(path)
        request_id = uuid.uuid4().hex
        who = addr[0] if addr else "the unix socket"
        status, code, message = answers.of_fault(exc)
        if status == 500:
            self.log.exception("Failed on request %s of %s", request_id, who)
        else:
            # Its kind alone: of a broken head the rest may hold a client's key.
            self.log.info("Refused request %s of %s: %s", request_id, who, type(exc).__name__)
        self.recorder.unread(code, status, request_id, dialect.name, method, path)
        content = dialect.error(status, code, message, request_id)
        answer = answers.written(status, request_id, content, keep=False)
        try:
            util.write_nonblock(client, answer)  # whoever does not read is not waited for
        except OSError as gone:
            self.log.debug("Nobody took the answer to %s: %s", request_id, gone)
