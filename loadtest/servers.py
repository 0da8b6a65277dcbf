"""The servers that are compared: Kiln as it ships and the tutorial stack, each with the same model and photo."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .processes import ROOT, Failed, Program, free_port, running

PHOTO = ROOT / "tests" / "data" / "cat.jpg"
LABEL = "cat"
MODEL = "catdog"
_TUTORIAL = Path(__file__).parent / "peers" / "tutorial"
_POLL = 0.005  # seconds
_HEADERS = {"Content-Type": "image/jpeg"}


@dataclass(frozen=True)
class Server:
    """One that answers."""

    program: Program
    port: int
    seconds_to_answer: float

    @property
    def url(self) -> str:
        """Where photos are posted."""
        return f"http://127.0.0.1:{self.port}/predict"

    def connect(self) -> http.client.HTTPConnection:
        """A connection, to be closed by the caller."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)


@contextlib.contextmanager
def kiln(
    workers: int = 2, engine: str = "", store: Path | None = None, model: str = "", expected: str = f'"{LABEL}"'
) -> Iterator[Server]:
    """What `./kiln run` starts, with the settings that ship. expected: a part of every right answer."""
    port = free_port()
    options = [f"--port={port}", f"--workers={workers}"]
    options += [f"--engine={engine}"] if engine else []
    options += [f"--store={store}"] if store else []
    options += [f"--model={model}"] if model else []
    settings = {"KILN_DEADLINE": "30"} if model else {}  # of another model, whose queue may take long
    with running([sys.executable, "deploy/run.py", *options], settings) as program:
        yield _answering(program, port, expected)


@contextlib.contextmanager
def tutorial() -> Iterator[Server]:
    """peers/tutorial under gunicorn's defaults, with as many workers as Kiln."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--workers=2", f"--bind=127.0.0.1:{port}", "app:app"]
    with running(command, {"MODEL": str(_keras_file())}, folder=_TUTORIAL) as program:
        yield _answering(program, port)


def newest_bundle() -> Path:
    """The folder of the version that Kiln serves."""
    versions = [path for path in (ROOT / "model" / "store" / MODEL).iterdir() if path.name.isdecimal()]
    return max(versions, key=lambda path: int(path.name))


def _keras_file() -> Path:
    bundle = newest_bundle()
    manifest = json.loads((bundle / "bundle.json").read_bytes())
    return bundle / str(manifest["engines"]["keras"]["file"])


def post(connection: http.client.HTTPConnection, photo: bytes) -> tuple[int, bytes]:
    """(status, body) of one answer."""
    connection.request("POST", "/predict", photo, _HEADERS)
    answer = connection.getresponse()
    return answer.status, answer.read()


def _answering(program: Program, port: int, expected: str = f'"{LABEL}"', patience: float = 120.0) -> Server:
    """Poll until the first right answer. The listening socket is open long before a worker reads from it."""
    photo, deadline = PHOTO.read_bytes(), time.monotonic() + patience
    while time.monotonic() < deadline:
        program.check()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            status, body = post(connection, photo)
            if status == 200:
                seconds = time.perf_counter() - program.started
                if expected.encode() not in body:
                    raise Failed(f"The answer to a photo of a {LABEL} does not say {expected}: {body[:300]!r}")
                return Server(program, port, seconds)
        time.sleep(_POLL)
    raise Failed(f"No answer within {patience:g} s.")
