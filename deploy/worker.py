"""gunicorn's threaded worker, fit to meet clients with no nginx in between. Wired in gunicorn.conf.py.

nginx keeps slow and broken clients away from the workers. Without it they meet these few threads, and gunicorn
alone would answer broken requests in HTML, wait for ever for a head or body that trickles in, and stop its main
loop for two seconds with each connection that a client leaves open. Each override below mends one of these; a
request that arrives whole pays microseconds for it. TLS and HTTP/2 are nginx's.

The master imports this file, so it imports neither the app nor an engine.
"""

from __future__ import annotations

import fcntl
import functools
import http
import math
import re
import socket
import struct
import termios
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import orjson
from gunicorn import SERVER, util
from gunicorn.http import errors
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

from . import plain

FIRST_BYTE_SECONDS = 0.01  # a new connection that is silent for longer waits in the poller, at no thread's cost
HEAD_SECONDS = 5.0  # from the first byte of a request to the end of its headers
ANSWER_SECONDS = 15  # in which the client takes nothing of the answer
TICK_SECONDS = 0.25  # how exactly deadlines are kept
HEAD_BYTES = 8192
NOTIFY_SECONDS = 0.5
DRAIN_BYTES = 64 * 1024  # of a body that the app did not want; gunicorn reads no further and closes the connection
READ_BYTES = 65536  # in one piece; most photos need no second one
_LENGTH = re.compile(rb"\nContent-Length:[ \t]*([^\r]*)", re.IGNORECASE)
_CONFIG = "gunicorn.config"  # where hooks live that do nothing
_WAITS = re.compile(rb"\n(?:Transfer-Encoding|Expect)[ \t]*:", re.IGNORECASE)


class HeadTimeout(errors.ParseException):
    """The head of a request did not arrive in time."""

    def __str__(self) -> str:
        return f"The head of the request did not arrive within {HEAD_SECONDS:g} seconds."


# What is wrong with a request that does not parse -> status, code, what to do. nginx.conf has the same codes.
_REFUSALS: dict[type[Exception], tuple[int, str, str]] = {
    HeadTimeout: (408, "head_timeout", f"{HeadTimeout()} Send it again."),
    errors.LimitRequestLine: (414, "uri_too_long", "The address is too long. Shorten it."),
    errors.LimitRequestHeaders: (431, "headers_too_large", "The headers are too large. Send fewer or shorter ones."),
    errors.ExpectationFailed: (417, "expectation_failed", "Only Expect: 100-continue is taken."),
    errors.UnsupportedTransferCoding: (
        501,
        "not_implemented",
        "A transfer encoding that is not taken. Send the body with its length or chunked.",
    ),
    errors.ParseException: (
        400,
        "bad_request",
        "The request could not be read as HTTP. Check its first line and its headers.",
    ),
}
_FAULT = (500, "internal_error", "Something went wrong here. Try again; the log has it under the request id.")
_OUR_FAULT = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)


class Reader(SocketUnreader):
    """Reads a client's socket until a deadline.

    A timeout of the socket alone bounds one wait: a client that sends a byte now and then would never meet it. Here
    the kernel ends each wait after a tick, which unlike Python's timeouts costs nothing where data is there already.
    """

    def __init__(self, client: socket.socket) -> None:
        super().__init__(client, READ_BYTES)
        self.deadline = math.inf
        self.late: type[Exception] = TimeoutError
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(TICK_SECONDS * 1e6)))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", ANSWER_SECONDS, 0))

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
    """

    def __init__(self, client: socket.socket) -> None:
        self.client = client
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
            self.client.sendall(self.held)
            return b""
        try:
            return self.held[self.client.send(self.held, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return self.held


def send_now(client: socket.socket, conn: TConn, answer: bytes) -> bool:
    """Send it without waiting. False where the client did not take all of it; conn.unsent is the rest."""
    try:
        conn.unsent = answer[client.send(answer, socket.MSG_DONTWAIT) :]
    except BlockingIOError:
        conn.unsent = answer
    except OSError:  # the client is gone, which reading will show again
        conn.unsent = b""
    return not conn.unsent


@functools.lru_cache(2)
def http_date(second: int) -> str:
    """The time as HTTP writes it, of a second since the epoch."""
    return util.http_date(second)


class Answered:
    """What `finish_request` asks of a future, for a request that was answered at once on a connection to keep."""

    def result(self) -> bool:
        """Keep it."""
        return True

    def cancelled(self) -> bool:
        """Never."""
        return False


def read_now(client: socket.socket) -> bytes:
    """What has arrived, up to READ_BYTES, without waiting; empty where that is nothing, or the client is gone."""
    try:
        return client.recv(READ_BYTES, socket.MSG_DONTWAIT)
    except OSError:
        return b""


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
        waiting: int = struct.unpack("i", fcntl.ioctl(client, termios.FIONREAD, bytes(4)))[0]
        return len(lengths) == 1 and len(data) + waiting >= end + int(lengths[0])
    except (OSError, ValueError):
        return False


def unread(environ: dict[str, Any]) -> int:
    """Bytes of a body of known length that the app has not read."""
    return getattr(environ["wsgi.input"].reader, "length", 0)


def parser_of(conn: TConn) -> RequestParser:
    """The connection's parser; made when it is first needed, which TConn.init would do, but with our reader."""
    if conn.parser is None:
        conn.parser = RequestParser(conn.cfg, conn.sock, conn.client)
        conn.parser.unreader = Reader(conn.sock)
    return conn.parser


class Worker(ThreadWorker):
    """gthread, with bounded waiting for clients and one form of errors."""

    def load_wsgi(self) -> None:
        """Tell the app that its body has a deadline, and obey its `Connection: close`, which gunicorn drops.

        Announce that, too, where gunicorn is going to close the connection because of a long body that was not read.
        Take the app's express way where nothing of gunicorn's own has to see each request.
        """
        super().load_wsgi()
        app, self.main_loop = self.wsgi, threading.get_ident()
        parts = app.extensions["kiln"]
        self.body_seconds, self.express = parts["settings"].body_timeout, parts["express"]
        hooks = (self.cfg.pre_request, self.cfg.post_request)
        if self.log.access_log_enabled or self.cfg.statsd_host or any(hook.__module__ != _CONFIG for hook in hooks):
            self.express = None

        def closing(environ: dict[str, Any], start_response: Any) -> Any:
            environ["kiln.body_deadline"] = True

            def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
                if ("Connection", "close") in headers or unread(environ) >= DRAIN_BYTES:
                    start_response.__self__.force_close()  # gunicorn's Response
                return start_response(status, headers, exc_info)

            return app(environ, start)

        self.wsgi = closing

    notified = -math.inf

    def notify(self) -> None:
        """Tell the master that we live; seldom, because each time costs system calls and the timeout is seconds."""
        if (now := time.monotonic()) > self.notified + NOTIFY_SECONDS:
            super().notify()
            self.notified = now

    busy = 0  # connections that are in the hands of the threads or wait for one; counted in the main loop alone

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """A request on a connection that was kept. It stays in the poller while its requests are plain."""
        data = read_now(client)
        answer = self.plain_answer(data)
        if answer is not None and send_now(client, conn, answer):
            self.keepalived_conns.remove(conn)
            conn.set_timeout()
            self.keepalived_conns.append(conn)
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self.go_on(conn, data, answer)

    def enqueue_req(self, conn: TConn) -> None:
        """A request on a new connection, or one that was read along with the request before it."""
        if conn.parser is not None and conn.parser.unreader.buf.getvalue():
            self.hand_over(conn, self.handle, conn)  # a thread's, or a client's pipeline would hold the main loop
            return
        data = read_now(conn.sock)
        answer = self.plain_answer(data)
        if answer is not None and send_now(conn.sock, conn, answer):
            parser_of(conn)
            super().finish_request(conn, Answered())
        else:
            self.go_on(conn, data, answer)

    def plain_answer(self, data: bytes) -> bytes | None:
        """The answer to a plain request, if `data` is one and it can be answered well."""
        if self.express is None or not self.alive or self.nr + 1 >= self.max_requests:
            return None
        request = plain.read(data)
        if request is None or (made := self.express(*request)) is None:
            return None
        self.nr += 1
        self.notify()  # many in a row must not look like one that hangs
        request_id, content = made
        return (
            "HTTP/1.1 200 OK\r\n"
            f"Server: {SERVER}\r\n"
            f"Date: {http_date(int(time.time()))}\r\n"
            "Connection: keep-alive\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n"
            f"X-Request-ID: {request_id}\r\n\r\n"
        ).encode("latin-1") + content

    def go_on(self, conn: TConn, data: bytes, answer: bytes | None) -> None:
        """What is not done with at once.

        A request that is here as a whole is answered in the main loop all the same, all others by the threads. A
        worker has one core's worth of work, so a thread gains nothing for a request that needs no waiting, and handing
        it over and back costs more than Flask does. While the loop answers, it accepts nobody: new connections go to a
        worker that is free. The threads, too, take no more connections than they are: with connections that are kept
        alive, the worker that wakes first would else keep all clients for itself.
        """
        unreader = parser_of(conn).unreader
        if answer is not None:  # the client has taken a part of it
            self.hand_over(conn, self.deliver, conn, True)
            return
        unreader.unread(data)
        conn.data_ready = conn.data_ready or bool(data)
        if not is_whole(data, conn.sock):
            self.hand_over(conn, self.handle, conn)
            return
        self.notify()
        keep = self.answer(conn)
        if conn.unsent or not keep:
            self.hand_over(conn, self.deliver, conn, keep)
        else:
            super().finish_request(conn, Answered())

    def hand_over(self, conn: TConn, work: Callable[..., Any], *arguments: Any) -> None:
        """Do it in a thread, then `finish_request` in the main loop."""
        self.busy += 1
        done = self.tpool.submit(work, *arguments)
        done.add_done_callback(lambda future: self.method_queue.defer(self.finish_request, conn, future))
        if self.busy >= self.cfg.threads:
            self.set_accept_enabled(False)  # the main loop enables it again

    def deliver(self, conn: TConn, keep: bool) -> bool:
        """The rest of an answer that its client was slow to take, and the farewell; in a thread of the pool."""
        conn.sock.sendall(conn.unsent)
        if not keep:
            util.close_graceful(conn.sock)
        return keep

    def set_accept_enabled(self, enabled: bool) -> None:
        """Listen, unless every thread has a connection."""
        super().set_accept_enabled(enabled and self.busy < self.cfg.threads)

    def handle(self, conn: TConn) -> Any:
        """Answer one request, in a thread of the pool. True to keep the connection."""
        # gunicorn would hold the thread for 5 s with each silent connection; browsers open some in advance.
        if not conn.initialized and not conn.data_ready and not conn.wait_for_data(FIRST_BYTE_SECONDS):
            return _DEFER
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
        parser_of(conn).unreader.until(HEAD_SECONDS, HeadTimeout)
        return super().handle(conn)

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """The head is in: from now on the body has its own time."""
        conn.parser.unreader.until(self.body_seconds, TimeoutError)
        client, conn.sock = conn.sock, OneSend(conn.sock)
        try:
            keep = super().handle_request(req, conn)
            conn.unsent = conn.sock.flush(wait=threading.get_ident() != self.main_loop)
        finally:
            conn.sock = client
        return keep

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        """Back in the main loop: forget a connection that a thread has closed."""
        self.busy -= 1
        if conn.sock.fileno() < 0:
            self.nr_conns -= 1
        else:
            super().finish_request(conn, fs)

    def _cap_keepalive(self, deadline: float) -> None:
        """A stopping worker waits for no connection on which nothing was ever sent, either."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer what never reached the app in the app's form of errors, not in gunicorn's HTML."""
        request_id = uuid.uuid4().hex
        who = addr[0] if addr else "the unix socket"
        status, code, message = _FAULT
        if isinstance(exc, errors.ParseException) and not isinstance(exc, _OUR_FAULT):
            status, code, message = next(_REFUSALS[kind] for kind in type(exc).__mro__ if kind in _REFUSALS)
            self.log.info("Refused request %s of %s: %s", request_id, who, exc)
        else:
            self.log.exception("Failed on request %s of %s", request_id, who)
        body = orjson.dumps({"error": {"code": code, "message": message}, "request_id": request_id}) + b"\n"
        head = (
            f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n"
            "Connection: close\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"X-Request-ID: {request_id}\r\n\r\n"
        )
        try:
            util.write_nonblock(client, head.encode() + body)  # whoever does not read is not waited for
        except OSError as gone:
            self.log.debug("Nobody took the answer to %s: %s", request_id, gone)
