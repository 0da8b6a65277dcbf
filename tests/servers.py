"""Real servers for tests: gunicorn and nginx with the files that ship, each on a port or socket of its own."""

from __future__ import annotations

import collections
import contextlib
import functools
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from app.keys import file as key_file
from loadtest import nginx as nginx_files

ROOT = Path(__file__).resolve().parents[1]
NGINX_CONF = nginx_files.CONF
GUNICORN = (sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py")
# How systemd hands a socket over: as file descriptor 3, to the process of this very number.
SYSTEMD = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3);"
    "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"
)
START_SECONDS = 60  # a worker loads in under a second; a busy machine may take far longer
STOP_SECONDS = 30
LOGS: collections.deque[Path] = collections.deque(maxlen=3)  # of those started last, for tests that fail


# --- Waiting and asking ---------------------------------------------------------------------------------------------


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Poll until the condition is true and return its value. Fails the test with `what` when it never is."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.02)
    return value


@dataclass
class Answer:
    """What came back over a raw socket; reads like an answer of requests."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


def connect(url: str, timeout: float = 10.0, source: str = "") -> socket.socket:
    """A plain TCP connection to a server. source: the address it comes from, e.g. 127.0.0.2."""
    address = urlsplit(url)
    assert address.hostname is not None
    here = (source, 0) if source else None
    return socket.create_connection((address.hostname, address.port or 80), timeout=timeout, source_address=here)


def read_answer(connection: socket.socket) -> Answer | None:
    """The next answer on a raw connection, not a byte further; None when it was closed without any."""
    head = b""
    try:
        while not head.endswith(b"\r\n\r\n"):
            if not (byte := connection.recv(1)):
                return None
            head += byte
    except ConnectionError:
        return None
    status, _, rest = head.partition(b"\r\n")
    headers = requests.structures.CaseInsensitiveDict(http.client.parse_headers(io.BytesIO(rest)).items())
    content = b""
    while left := int(headers["Content-Length"]) - len(content):
        piece = connection.recv(left)
        assert piece, "the answer ends early"
        content += piece
    return Answer(int(status.split()[1]), headers, content)


def exchange(url: str, *pieces: bytes, half_close: bool = False, timeout: float = 10.0) -> Answer | None:
    """Send bytes as they are, over a connection of their own, and read one answer."""
    with connect(url, timeout) as connection:
        # A server that refuses early may close while we still send; its answer counts.
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        return read_answer(connection)


def post_head(path: str, *headers: str) -> bytes:
    """The head of a POST, for raw connections."""
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: kiln.test", *headers, "", "")).encode("latin-1")


def assert_error(
    answer: Answer | requests.Response | None, status: int | Sequence[int], code: str = ""
) -> dict[str, str]:
    """The answer is an error of the one form, and its request id is in header and body. Returns code and message."""
    assert answer is not None, "the connection was closed without an answer"
    statuses = (status,) if isinstance(status, int) else status
    assert answer.status_code in statuses, answer.content[:500]
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error", "request_id"}, body
    assert set(body["error"]) == {"code", "message"}, body
    assert all(isinstance(text, str) and text for text in body["error"].values()), body
    assert body["request_id"] == answer.headers["X-Request-ID"] != ""
    assert answer.content.endswith(b"}\n")
    if code:
        assert body["error"]["code"] == code, body
    return body["error"]


# --- Processes ------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A server that runs: where it answers, its first process, and the file with all that it says."""

    url: str  # no trailing slash, except for a service below a prefix
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    backend: Server | None = None  # the gunicorn behind an nginx

    def workers(self) -> list[int]:
        """Process ids of the gunicorn workers that are alive, oldest first."""
        found = []
        for child in psutil.Process((self.backend or self).process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
                if child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child.pid)
        return sorted(found)

    def metrics_folder(self) -> Path:
        """Where the workers count."""
        for worker in self.workers():
            for file in psutil.Process(worker).memory_maps():
                if "kiln-metrics-" in file.path:
                    return Path(file.path).parent
        raise AssertionError("no worker has a file of metrics open")

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its text, e.g. 'kiln_images_total'."""
        text = requests.get(f"{self.url.rstrip('/')}/metrics", timeout=10).text
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a process group of its own; end all of it, whatever happens."""
    LOGS.append(log)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **options
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # also workers that outlived their master
        process.wait()


def _check_alive(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        pytest.fail(f"{process.args} ended with status {process.returncode}. It said:\n{log.read_text()}")


def _wait_until_up(server: Server, path: str) -> None:
    def answers() -> bool:
        _check_alive(server.process, server.log)
        try:
            return requests.get(server.url.rstrip("/") + path, timeout=5).status_code == 200
        except requests.RequestException:
            return False

    wait_for(answers, f"{server.url}{path} to answer 200; see {server.log}", START_SECONDS)


# --- gunicorn -------------------------------------------------------------------------------------------------------


def clean_environment(**settings: object) -> dict[str, str]:
    """This environment with the given settings of Kiln and no others."""
    ours = re.compile(
        r"KILN_|PROMETHEUS_|GUNICORN_|SAGEMAKER_|AIP_|AZUREML_|FC_|AWS_|NGINX$|SCRIPT_NAME$|WEB_CONCURRENCY$"
    )
    environment = {name: value for name, value in os.environ.items() if not ours.match(name)}
    return environment | {f"KILN_{name.upper()}": str(value) for name, value in settings.items()}


@contextlib.contextmanager
def gunicorn(
    folder: Path,
    *,
    command: Sequence[str] = GUNICORN,
    up: str = "/ready",
    listener: socket.socket | None = None,
    **settings: object,
) -> Iterator[Server]:
    """gunicorn with the shipped configuration, on a port that the system chooses, up once `up` answers 200.

    listener: a socket to take over, as from a service manager that keeps it open over restarts.
    """
    log = folder / "gunicorn.log"
    # Tests share few cores: what they are about must not be refused because a machine is slow.
    defaults = {"bind": "127.0.0.1:0", "workers": 2, "deadline": 60}
    handed = [listener.fileno()] if listener else []
    if listener:
        command = [sys.executable, "-c", SYSTEMD, str(listener.fileno()), *command]
    environment = clean_environment(**(defaults | settings))
    with running(command, log, cwd=ROOT, env=environment, pass_fds=handed) as process:

        def listening() -> re.Match[str] | None:
            _check_alive(process, log)
            return re.search(r"Listening at: (\S+)", log.read_text())

        address = wait_for(listening, f"gunicorn to listen; see {log}", START_SECONDS)[1]
        server = Server(address, urlsplit(address).port or 0, process, log)
        if server.port:
            _wait_until_up(server, up)
        workers = int(str((defaults | settings)["workers"]))
        wait_for(lambda: len(server.workers()) == workers, f"{workers} workers", START_SECONDS)
        if up == "/ready":  # the answer was of one of them
            wait_for(lambda: log.read_text().count("AVAILABLE") >= workers, "every worker's model", START_SECONDS)
        yield server


@contextlib.contextmanager
def with_key(folder: Path) -> Iterator[tuple[Server, str]]:
    """gunicorn with API keys on, and the one key that it takes."""
    key = key_file.add(folder / "keys", "tests")
    with gunicorn(folder, workers=1, api_keys=folder / "keys") as server:
        yield server, key


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder for a unix socket, whose path must be short; the folders of pytest are not always."""
    with tempfile.TemporaryDirectory(prefix="kiln-") as folder:
        yield Path(folder)


def leave_socket(path: Path) -> None:
    """A unix socket whose server has gone: whoever connects is refused."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


# --- nginx ----------------------------------------------------------------------------------------------------------


def nginx_conf(folder: Path, run: Path, port: int, prefix: str = "") -> str:
    """The shipped configuration, moved to a folder and a port; with a prefix, as its last comment says."""
    text = nginx_files.configuration(folder, run, port)
    if prefix:
        block = re.search(r"^ +# location /some/prefix/ \{\n(?: +# .*\n)+", text, re.MULTILINE)
        assert block, "deploy/nginx.conf no longer says how to publish below a prefix"
        instead = re.sub(r"^( +)# ", r"\1", block[0], flags=re.MULTILINE).replace("/some/prefix/", prefix)
        text, count = re.subn(r"^ +location / \{\n.*\n +\}\n", lambda _: instead, text, flags=re.MULTILINE)
        assert count == 1
    return text


def with_tls(text: str, port: int = 443) -> str:
    """nginx.conf with TLS, made as its comments say."""
    text, count = re.subn(r"^( +)(listen .*:?\d+ default_server;)$", r"\1# \2", text, count=1, flags=re.MULTILINE)
    assert count == 1
    plain = re.search(r"^ +# (listen .*default_server;)$", text, re.MULTILINE)
    assert plain
    lines = re.search(r"^( +# listen 443 (?:.*\n)(?: +# .*\n)+)", text, re.MULTILINE)
    redirect = re.search(r"^ +# server \{\n(?: +# .*\n)+", text, re.MULTILINE)
    assert lines
    assert redirect
    uncommented = [re.sub(r"^( +)# ?", r"\1", found[0], flags=re.MULTILINE) for found in (lines, redirect)]
    text = text.replace(
        lines[0],
        uncommented[0].replace("listen 443 ", f"listen {port} " if port == 443 else f"listen 127.0.0.1:{port} "),
    )
    return text.replace(redirect[0], uncommented[1].replace("listen 80 default_server;", plain[1]))


@functools.cache
def nginx_program() -> str:
    """The nginx of this machine; skips the test where there is none."""
    found = nginx_files.program()
    if found is None:
        pytest.skip("nginx is not installed: apt-get install nginx")
    return found


@contextlib.contextmanager
def nginx(
    folder: Path, run: Path, prefix: str = "", backend: Server | None = None, change: Callable[[str], str] = str
) -> Iterator[Server]:
    """nginx with the shipped configuration in front of run/kiln.sock. change: what a test must shorten in it."""
    executable = nginx_program()
    # Bound here and handed over in the way nginx hands its sockets to its successor: no port can be taken meanwhile.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)  # nginx takes an inherited socket as it is, and must not wait in accept
        port = listener.getsockname()[1]
        conf = folder / "nginx.conf"
        conf.write_text(change(nginx_conf(folder, run, port, prefix)))
        command = [executable, "-p", str(folder), "-c", str(conf), "-g", "daemon off;"]
        inherited = {"env": clean_environment() | {"NGINX": f"{listener.fileno()};"}, "pass_fds": [listener.fileno()]}
        with running(command, folder / "nginx.log", **inherited) as process:
            listener.close()
            url = f"http://127.0.0.1:{port}{prefix}"
            server = Server(url, port, process, folder / "nginx.log", backend)
            _wait_until_up(server, "/ready")
            yield server


@contextlib.contextmanager
def behind_nginx(folder: Path, *, prefix: str = "", **settings: object) -> Iterator[Server]:
    """The whole house: nginx, a unix socket, gunicorn."""
    nginx_program()
    with (
        short_folder() as run,
        gunicorn(folder, bind=f"unix:{run}/kiln.sock", **settings) as backend,
        nginx(folder, run, prefix, backend) as server,
    ):
        yield server
