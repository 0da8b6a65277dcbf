"""What takes part in a round: Kiln, the tutorial's stack and each peer, with each engine that it is measured with."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .. import photos, servers
from ..processes import free_port, running
from ..servers import LABEL, PHOTO, Question, Server
from . import counting, environments, known
from .known import ENGINES, LITERT, PEERS, SHARED, TUTORIAL, Peer

KILN = "kiln"
LABELS = (LABEL, "dog")  # the right one first
# Of libraries that would take more.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}


@dataclass(frozen=True)
class Contestant:
    """A server with an engine. lines: of code that its user writes. start: a context manager while which it serves."""

    server: str  # kiln, or one of known.NAMES
    engine: str
    title: str
    lines: int
    question: Question
    start: Callable[[], AbstractContextManager[Server]]

    @property
    def name(self) -> str:
        """Of the server and the engine."""
        return f"{self.server}/{self.engine}"


def contestants(names: Collection[str], models: Mapping[str, Path]) -> list[Contestant]:
    """Kiln and every peer of these names, in the order of the tables.

    models: engine -> file. A peer takes part with each of the engines that has one.
    """
    photo = photos.Photo(PHOTO.name, PHOTO.read_bytes(), "image/jpeg")
    raw = known.raw(photo)
    found = [Contestant(KILN, LITERT, "Kiln", 0, raw, servers.kiln)]
    if TUTORIAL in names:
        found += _tutorial(raw, models)
    for peer in PEERS:
        if peer.name in names:
            found += [
                Contestant(
                    peer.name,
                    engine,
                    f"{peer.title}, {ENGINES[engine]}",
                    counting.lines(peer.written(engine)),
                    peer.ask(photo),
                    partial(_started, peer, engine, models[engine], peer.ask(photo)),
                )
                for engine in peer.engines
                if engine in models
            ]
    return found


def _tutorial(raw: Question, models: Mapping[str, Path]) -> list[Contestant]:
    """With model.predict(), which makes it the tutorial's, and with the engine that Kiln has."""
    folder = environments.PEERS / TUTORIAL
    title = "Flask-RESTful + gunicorn"
    found = [
        Contestant(
            TUTORIAL,
            "keras",
            f"{title}, model.predict() (tutorial)",
            counting.lines([folder / "app.py"]),
            raw,
            partial(servers.tutorial, settings={"MODEL": str(servers.engine_file("keras")), **_ONE_THREAD}),
        )
    ]
    if LITERT in models:
        settings = _settings(LITERT, models[LITERT])
        lines = counting.lines([folder / "app_compiled.py", *known.model_code(LITERT)])
        start = partial(servers.tutorial, "app_compiled:app", settings)
        found.append(Contestant(TUTORIAL, LITERT, f"{title}, {ENGINES[LITERT]}", lines, raw, start))
    return found


@contextlib.contextmanager
def _started(peer: Peer, engine: str, model: Path, question: Question) -> Iterator[Server]:
    ports = {name: free_port() for name in ("port", "second", "third")}
    # A short path: Ray and HAProxy put sockets there.
    with tempfile.TemporaryDirectory(prefix="kiln-", ignore_cleanup_errors=True) as run:
        places = {**ports, "run": run, "bin": environments.python(peer.environment).parent}
        command = [part.format(**places) for part in peer.command]
        settings = {name: value.format(**places) for name, value in peer.settings.items()}
        with running(command, {**_settings(engine, model), "HOME": run, **settings}, folder=peer.folder) as program:
            yield servers.answering(program, ports["port"], question)


def _settings(engine: str, model: Path) -> dict[str, str]:
    """What the model's code reads."""
    return {
        "MODEL": str(model),
        "PYTHONPATH": f"{SHARED}:{SHARED / f'with_{engine}'}",
        **_ONE_THREAD,
    }
