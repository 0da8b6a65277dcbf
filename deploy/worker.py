"""gunicorn's threaded worker, fit to meet clients with no nginx in between. Wired in gunicorn.conf.py.

nginx keeps slow and broken clients away from the workers. Without it they meet these; a request that arrives whole pays
microseconds for it. TLS and HTTP/2 are nginx's.

A worker has one core's worth of work. So requests that are here as a whole wait in one queue, which is bounded by
their deadlines (app/admission.py), and the main loop answers them one by one; threads would gain nothing and cost more
than Flask does. They do the work where the engine answers several requests at once.

The master imports this file, so it imports neither the app nor an engine.
"""

from __future__ import annotations

import faulthandler
import math
import os
import socket
import time
from collections import deque
from typing import Any, NamedTuple

from gunicorn.workers.gthread import TConn

from . import answers, plain
from .clients import TICK_SECONDS, is_gone, parser_of
from .connections import Connections
from .queues import Queues

NOTIFY_SECONDS = 0.5
# How often a busy worker looks for new requests, to refuse at once those that it has no time for. Each look costs the
# next answers what the caches held: at ten times the load 0.91 of the best are given with 0.04, 0.84 with 0.02 (ten
# runs of each, in turns), and who is refused hears of it after 29 instead of 14 ms (`python -m loadtest.overload`).
LOOK_SECONDS = 0.04  # and a tenth of KILN_DEADLINE at most
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


def _is_local(conn: TConn) -> bool:
    """Whether a proxy on this machine is the client: when that closes a connection, nobody waits for the answer.

    Others may close their sending side alone, and read on.
    """
    return bool(conn.sock.family == socket.AF_UNIX)


class Worker(Connections):
    """gthread, with one bounded queue."""

    queues, slot = Queues(1), 0  # where no hook of gunicorn.conf.py gave it others': alone

    def load_wsgi(self) -> None:
        """Take the app's express way where nothing of gunicorn's own has to see each request."""
        super().load_wsgi()
        self.gathers, self.gathering = self.parts["store"].gathers, False
        self.is_settled = self.parts["store"].is_settled
        self.free_since = -math.inf  # when the last piece of work ended
        self.waiting: deque[Job] = deque()
        self.look = min(LOOK_SECONDS, self.admission.deadline / 10)
        hooks = (self.cfg.pre_request, self.cfg.post_request)
        if self.log.access_log_enabled or self.cfg.statsd_host or any(hook.__module__ != _CONFIG for hook in hooks):
            self.express = None

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
        if not super().is_parent_alive():  # never `self.alive = self.alive and ...`: SIGTERM may come in between
            self.alive = False
        return self.alive

    def _cap_keepalive(self, deadline: float) -> None:
        """A stopping worker waits for no connection on which nothing was ever sent, either.

        It takes those that wait to be accepted, which would be cut off if this is the last worker, and then closes the
        door: whoever comes now is refused by the kernel, so that a proxy knows that its request has not run. What is on
        its way is gathered to its end, as before.
        """
        for listener in self.sockets:
            listener.setblocking(False)
            before = -1
            while before < self.met and self.nr_conns < self.worker_connections:
                before = self.met  # also those that have gone already, before others in the queue
                super().accept(listener)
            listener.close()
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    # --- The queue --------------------------------------------------------------------------------------------------

    def admit(self, conn: TConn, data: bytes, body: bytearray | None, request: plain.Plain | None) -> None:
        """Let a request that is here as a whole wait for its turn, or refuse it."""
        job = self.job(conn, data, body, request)
        now, expiry = job.arrived, job.expiry
        if data.startswith(self.watch):  # whoever watches over a busy node must not take it for a dead one
            self.work(job)
        elif not self.admission.in_time(now, expiry):
            self.refuse(job, "deadline_exceeded")
        elif self.admission.admits(self.ahead(), expiry - now):
            self.waiting.append(job)
            self.waiting_conns.add(conn)
        else:
            self.refuse(job, "overloaded")

    def overloaded(self) -> bool:
        """Is there no time for one more request, whatever it is?"""
        return not self.admission.admits(self.ahead(), self.admission.deadline)

    def ahead(self) -> int:
        """Requests that are worked on before the next one is. A thread that only sends or closes is not in its way."""
        return len(self.waiting) + len(self.working)

    def job(self, conn: TConn, data: bytes, body: bytearray | None, request: plain.Plain | None) -> Job:
        """What is to be done."""
        now = time.monotonic()
        fields = request.fields if request else plain.fields(data)
        expiry = self.admission.expiry(now, fields.get("x-request-start", ""), fields.get("x-deadline-ms", ""))
        return Job(conn, data, body, request, self.dialects.offered_id(fields.get), now, expiry)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Look who is there, then work until it is time to look again."""
        patience = timeout
        if self.waiting:
            patience = self.look if self.gathering and self.busy >= self.cfg.threads else 0
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
        until = now + self.look
        self.tell_length()
        while self.waiting and now < until:
            in_time = self.admission.in_time(now, self.waiting[0].expiry)
            if in_time and self.gathering and self.busy >= self.cfg.threads:
                break  # the next thread that is done wakes us
            job = self.waiting.popleft()
            self.waiting_conns.discard(job.conn)
            self.recorder.busy = bool(self.waiting)
            if not in_time:
                self.refuse(job, "deadline_exceeded")
            elif (_is_local(job.conn) or now > job.arrived + self.look) and is_gone(job.conn.sock):
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
        if not self.waiting:
            self.tell_length()
        self.recorder.busy = bool(self.waiting)
        self.recorder.backlog(len(self.waiting), self.busy)

    def tell_length(self) -> None:
        """Tell the other workers what there is to do here, once this one has its models; they send nobody before."""
        if self.alive and self.is_settled():
            self.queues.tell(self.slot, self.ahead())
        else:
            self.queues.leave(self.slot)

    def lets_go(self) -> bool:
        """Is it time to close a connection that its client keeps? A thread then waits for the client to close it, too,
        which some do late: half of them are left to others."""
        return self.busy < max(1, self.cfg.threads // 2) and self.queues.lets_go(self.slot)

    def work(self, job: Job, queued: float | None = None) -> None:
        """Answer a request that is here as a whole. queued: seconds that it stood in the queue, if it did."""
        keep = job.keeps and not self.lets_go()
        answer = self.plain_answer(job, queued, keep=keep)
        if answer is not None:
            self.finish(job.conn, answer, keep=keep, request=job.request)
            return
        conn = job.conn
        conn.queued = queued
        self.leave_poller(conn)
        parser_of(conn).unreader.unread(job.data + (job.body or b""))
        keep = self.answer(conn)
        if conn.unsent or not keep:
            self.take_leave(conn, keep)
        else:
            self.keep(conn)

    def work_together(self, job: Job) -> Any:
        """As `work`, in a thread: the engine answers several requests at once (model/batching.py)."""
        began, beside = time.monotonic(), max(1, self.busy)
        conn = job.conn
        self.working[conn] = began
        try:
            parser_of(conn)
            if answer := self.plain_answer(job, began - job.arrived, keep=job.keeps):
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

    def plain_answer(self, job: Job, queued: float | None, *, keep: bool) -> bytes | None:
        """The answer to a plain request, if it can be answered well. keep: its connection."""
        if job.request is None or self.express is None or not self.alive or self.nr + 1 >= self.max_requests:
            return None
        path, query, fields, begins, *_ = job.request
        body = job.data[begins:] if job.body is None else job.body
        made = self.express(path, query, fields, body, queued)
        if made is None:
            return None
        self.nr += 1
        request_id, answer = made
        return answers.written(200, request_id, answer.content, keep=keep, kind=answer.kind, headers=answer.headers)

    def refuse(self, job: Job, code: str) -> None:
        """Answer that it comes at a bad time, without having worked on it."""
        self.recorder.busy = bool(self.waiting)
        method, path = ("POST", job.request.path) if job.request else plain.target(job.data)
        keep = self.alive and (job.keeps if job.request else plain.is_all(job.data))
        answer = self.refusal(code, job.offered_id, method, path, time.monotonic() - job.arrived, keep=keep)
        self.finish(job.conn, answer, keep=keep, request=job.request)

    def refuse_unread(self, conn: TConn, request: plain.Plain, ids: dict[str, str]) -> None:
        """As `refuse`, for a plain request that comes while the worker is overloaded: in a storm thousands a second."""
        self.recorder.busy = bool(self.waiting)
        keep = self.alive and request.keep
        offered_id = self.dialects.offered_id(ids.get) if ids else ""
        answer = self.refusal("overloaded", offered_id, "POST", request.path, 0.0, keep=keep)
        self.finish(conn, answer, keep=keep, request=request)
