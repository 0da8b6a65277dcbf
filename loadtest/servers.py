"""The servers that are compared: Kiln as it ships and the tutorial stack, each with the same model and photo."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import nginx
from .processes import ROOT, Failed, Program, free_port, running

PHOTO = ROOT / "tests" / "data" / "cat.jpg"
LABEL = "cat"
MODEL = "catdog"
_TUTORIAL = Path(__file__).parent / "peers" / "tutorial"
_POLL = 0.005  # seconds
_PATIENCE = 60.0  # seconds for one answer


@dataclass(frozen=True)
class Question:
    """What is posted, as which media type, and to where."""

    body: bytes
    kind: str = "image/jpeg"
    path: str = "/predict"


@dataclass(frozen=True)
class Server:
    """One that answers."""

    program: Program
    port: int
    seconds_to_answer: float
    path: str = "/predict"

    @property
    def url(self) -> str:
        """Where photos are posted."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    def connect(self) -> http.client.HTTPConnection:
        """A connection, to be closed by the caller."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)


@contextlib.contextmanager
def kiln(
    workers: int = 2,
    engine: str = "",
    store: Path | None = None,
    model: str = "",
    expected: str = f'"{LABEL}"',
    *,
    patient: bool = False,
) -> Iterator[Server]:
    """What `./kiln run` starts, with the settings that ship.

    expected: a part of every right answer. patient: refuse nobody for the queue, which takes long with a large model.
    """
    port = free_port()
    options = [f"--port={port}", f"--workers={workers}"]
    options += [f"--engine={engine}"] if engine else []
    options += [f"--store={store}"] if store else []
    options += [f"--model={model}"] if model else []
    settings = {"KILN_DEADLINE": "30"} if patient else {}
    with running([sys.executable, "deploy/run.py", *options], settings) as program:
        yield answering(program, port, expected=expected, given_up=lambda: _given_up(port, model or MODEL))


@contextlib.contextmanager
def behind_nginx(workers: int = 2) -> Iterator[tuple[Server, Program]]:
    """Kiln on a unix socket with the nginx that ships in front of it, as a node has them; and that nginx.

    The server's program is gunicorn, its port nginx's. Raises Failed where there is no nginx.
    """
    executable = nginx.program()
    if executable is None:
        raise Failed("nginx is not installed. On Debian or Ubuntu: apt-get install nginx")
    with tempfile.TemporaryDirectory(prefix="kiln-nginx-") as name:
        folder, port = Path(name), free_port()
        (folder / "nginx.conf").write_text(nginx.configuration(folder, folder, port))
        with (
            running(
                [sys.executable, "deploy/run.py", f"--workers={workers}"], {"KILN_BIND": f"unix:{folder}/kiln.sock"}
            ) as program,
            running([executable, "-p", name, "-c", f"{name}/nginx.conf", "-g", "daemon off;"], {}) as proxy,
        ):
            yield answering(program, port), proxy


def _given_up(port: int, model: str) -> str:
    """Why no version of the model will ever serve; empty while one may."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", f"/models/{model}")
        answer = connection.getresponse()
        content = answer.read()
    versions = json.loads(content).get("versions", []) if answer.status == 200 else []
    if any(version["state"] != "END" for version in versions):
        return ""
    return " ".join(version["reason"] for version in versions)


@contextlib.contextmanager
def tutorial(app: str = "app:app", settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """peers/tutorial under gunicorn's defaults, with as many workers as Kiln. app: another application there.

    settings: its environment; by default the model that ships.
    """
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--workers=2", f"--bind=127.0.0.1:{port}", app]
    with running(command, settings or {"MODEL": str(engine_file("keras"))}, folder=_TUTORIAL) as program:
        yield answering(program, port)


def newest_bundle() -> Path:
    """The folder of the version that Kiln serves."""
    versions = [path for path in (ROOT / "model" / "store" / MODEL).iterdir() if path.name.isdecimal()]
    return max(versions, key=lambda path: int(path.name))


def engine_file(engine: str) -> Path:
    """The model that Kiln serves, in the form of that engine."""
    bundle = newest_bundle()
    manifest = json.loads((bundle / "bundle.json").read_bytes())
    return bundle / str(manifest["engines"][engine]["file"])


def post(connection: http.client.HTTPConnection, photo: bytes) -> tuple[int, bytes]:
    """(status, body) of one answer."""
    return ask(connection, Question(photo))


def ask(connection: http.client.HTTPConnection, question: Question) -> tuple[int, bytes]:
    """(status, body) of one answer."""
    connection.request("POST", question.path, question.body, {"Content-Type": question.kind})
    answer = connection.getresponse()
    return answer.status, answer.read()


def answering(
    program: Program,
    port: int,
    question: Question | None = None,
    expected: str = f'"{LABEL}"',
    patience: float = 120.0,
    given_up: Callable[[], str] = str,
) -> Server:
    """Poll until the first right answer. The listening socket is open long before a worker reads from it.

    question: what to ask; a raw photo if there is none. given_up: asked after each other answer, says why there will
    never be a right one; empty while there may be.
    """
    question = question or Question(PHOTO.read_bytes())
    deadline, last = time.monotonic() + patience, ""
    while time.monotonic() < deadline:
        program.check()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            status, body = ask(connection, question)
            last = f" The last was {status}: {body[:300]!r}"
            if status == 200:
                seconds = time.perf_counter() - program.started
                if expected.encode() not in body:
                    raise Failed(f"The answer to a photo of a {LABEL} does not say {expected}: {body[:300]!r}")
                return Server(program, port, seconds, question.path)
            if reason := given_up():
                raise Failed(f"The server will not serve: {reason}")
        time.sleep(_POLL)
    raise Failed(f"No right answer within {patience:g} s.{last}")
