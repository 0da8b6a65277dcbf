"""A stand-in for gunicorn behind the shipped nginx, which shows what gets to it."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests import servers


class Backend(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """In gunicorn's place on its socket: answers, keeps connections, and hangs up on any request for /crash."""

    daemon_threads = True

    def __init__(self, run: Path) -> None:
        super().__init__(f"{run}/kiln.sock", BackendHandler)
        self.connections = 0
        self.requests: list[str] = []
        self.end = threading.Event()

    @contextlib.contextmanager
    def serving(self) -> Iterator[Backend]:
        """Serve in a thread, until the end of the block."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.end.set()
            self.shutdown()
            thread.join()
            self.server_close()


class BackendHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Backend

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/crash":
            self.close_connection = True
            return
        if self.path == "/hang":
            self.server.end.wait(20)
        body = json.dumps(dict(self.headers)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def before_backend(folder: Path, change: Callable[[str], str] = str) -> Iterator[tuple[str, Backend]]:
    """nginx's url, and the stand-in for gunicorn behind it."""
    servers.nginx_program()
    with (
        servers.short_folder() as run,
        Backend(run).serving() as backend,
        servers.nginx(folder, run, change=change) as server,
    ):
        yield server.url, backend


def shorter(name: str) -> Callable[[str], str]:
    """Set one of the file's times to a second: a test can see what happens then, but not wait for it."""

    def change(text: str) -> str:
        text, count = re.subn(rf"^( *{name}) \d+s;", r"\1 1s;", text, flags=re.MULTILINE)
        assert count == 1
        return text

    return change


def instead(old: str, new: str) -> Callable[[str], str]:
    """Change one thing in nginx.conf."""

    def change(text: str) -> str:
        assert text.count(old) == 1, old
        return text.replace(old, new)

    return change


def few(text: str) -> str:
    """Three requests, then one a minute: no machine is too slow to go beyond that."""
    return instead("burst=400", "burst=2")(instead("rate=200r/s", "rate=1r/m")(text))
