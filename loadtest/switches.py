"""Versions that switch under load: does any answer fail or come late, and is all memory given back?

Kiln serves a store of its own. Clients post at 80 % of what it manages, first in peace and then while one new version
after the other is put into the store and the one before is taken away.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import memory, servers
from .figures import Goal, Spread
from .processes import Failed
from .servers import MODEL, PHOTO, Server, post

SWITCHES = 30
_WORKERS = 2
_LOAD = 0.8
_PEACE = 10.0  # seconds
_FULL_SPEED = 3.0  # seconds
_BETWEEN = 1.0  # seconds from one switch to the next
_PATIENCE = 60.0  # seconds for one switch
_POLL = 0.1  # seconds
_REST = 25.0  # seconds; counts of versions that have ended are kept for 20 s, until Prometheus has them
_FIRST = 100  # number of the first version
_TOLD = re.compile(r'"message":"model \w+ version (\d+): (\w+)[^}]*"process":(\d+)')


@dataclass
class Findings:
    """What one run gave. Milliseconds from sending a request to having its answer; memory as `memory.own_megabytes`."""

    per_second: float = 0.0
    peace_ms: list[float] = field(default_factory=list)
    switching_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # until every worker has switched
    memory_mb: list[float] = field(default_factory=list)  # before the first switch, and after the last and a rest

    @property
    def slowest(self) -> float:
        """The slowest answer while versions switched, in medians."""
        return max(self.switching_ms) / statistics.median(self.switching_ms)

    @property
    def slowest_in_peace(self) -> float:
        """The same without any switch: what this machine does to answers anyway."""
        return max(self.peace_ms) / statistics.median(self.peace_ms)

    @property
    def growth(self) -> float:
        """Memory after the last switch and some rest, by what it was before the first."""
        return self.memory_mb[-1] / self.memory_mb[0]

    def goals(self) -> list[Goal]:
        """What is wanted of it."""
        return [
            Goal("versions switch: slowest answer / median", Spread((self.slowest,)), 5, digits=1),
            Goal("the same in peace", Spread((self.slowest_in_peace,)), digits=1),
            Goal("versions switch: time to reach every worker", Spread((max(self.seconds),)), 5, unit=" s"),
            Goal(f"memory after {len(self.seconds)} switches / before", Spread((self.growth,)), 1.1),
        ]

    def to_json(self) -> dict[str, object]:
        """The figures, without each single answer."""
        return {
            "per_second": self.per_second,
            "answers": len(self.switching_ms),
            "failures": self.failures[:10],
            "median_ms": statistics.median(self.switching_ms),
            "slowest_ms": max(self.switching_ms),
            "slowest_by_median": self.slowest,
            "slowest_by_median_in_peace": self.slowest_in_peace,
            "seconds_to_switch": self.seconds,
            "memory_mb": self.memory_mb,
            "memory_growth": self.growth,
        }


def measure(tell: Callable[[str], None], switches: int = SWITCHES) -> Findings:
    """Run it all. Raises Failed when a switch does not happen."""
    found = Findings()
    with tempfile.TemporaryDirectory(prefix="kiln-switches-") as folder:
        store, waiting = Path(folder) / "store", Path(folder) / "waiting"
        for version in range(_FIRST, _FIRST + 1 + switches):
            _prepare(waiting / str(version))
        (store / MODEL).mkdir(parents=True)
        (waiting / str(_FIRST)).rename(store / MODEL / str(_FIRST))
        with servers.kiln(_WORKERS, store=store) as server, memory.connections(server, _WORKERS) as connections:
            processes = [process.pid for process in server.program.family()]
            tell("switches: full speed")
            with _posting(connections, 0.0, found.failures) as times:
                time.sleep(_FULL_SPEED)
            found.per_second = _LOAD * len(times) / _FULL_SPEED
            pause = len(connections) / found.per_second
            tell("switches: in peace")
            with _posting(connections, pause, found.failures) as found.peace_ms:
                time.sleep(_PEACE)
            found.memory_mb.append(memory.own_megabytes(processes))
            with _posting(connections, pause, found.failures) as found.switching_ms:
                for version in range(_FIRST + 1, _FIRST + 1 + switches):
                    tell(f"switches: {version - _FIRST} of {switches}")
                    found.seconds.append(_switch(server, waiting / str(version), store / MODEL))
                    time.sleep(_BETWEEN)  # memory is not read: that takes 6 to 23 ms, in which workers cannot map any
                tell("switches: at rest")
                time.sleep(_REST)
                found.memory_mb.append(memory.own_megabytes(processes))
            server.program.check()
    return found


def _prepare(folder: Path) -> None:
    """The bundle that ships, under another number; made beforehand, so that it takes nothing from the load."""
    shutil.copytree(servers.newest_bundle(), folder)
    manifest = json.loads((folder / "bundle.json").read_bytes())
    (folder / "bundle.json").write_text(json.dumps({**manifest, "version": folder.name}))


def _switch(server: Server, waiting: Path, model: Path) -> float:
    """Seconds from a new version being there until it, and it alone, answers in every worker."""
    started, old = time.monotonic(), list(model.iterdir())
    waiting.rename(model / waiting.name)
    while (ready := _ready(server)) != {waiting.name: _WORKERS}:
        server.program.check()
        if time.monotonic() - started > _PATIENCE:
            raise Failed(f"Version {waiting.name} did not come to every worker within {_PATIENCE:g} s: {ready}")
        time.sleep(_POLL)
    seconds = time.monotonic() - started
    for folder in old:
        shutil.rmtree(folder)
    return seconds


def _ready(server: Server) -> dict[str, int]:
    """version -> the workers in which it is AVAILABLE, by their log: to be asked would take their time."""
    states = {(version, worker): state for version, state, worker in _TOLD.findall(server.program.log())}
    return dict(Counter(version for (version, _), state in states.items() if state == "AVAILABLE"))


@contextlib.contextmanager
def _posting(
    connections: Sequence[http.client.HTTPConnection], pause: float, failures: list[str]
) -> Iterator[list[float]]:
    """Post over every connection, each `pause` seconds, and gather milliseconds until the block ends."""
    photo, stop, times = PHOTO.read_bytes(), threading.Event(), list[float]()

    def client(number: int, connection: http.client.HTTPConnection) -> None:
        due = time.perf_counter() + pause * number / len(connections)
        while not stop.wait(max(0.0, due - time.perf_counter())):
            started = time.perf_counter()
            try:
                status, body = post(connection, photo)
                if status != 200:
                    failures.append(f"{status} {body[:200]!r}")
            except (OSError, http.client.HTTPException) as lost:
                failures.append(repr(lost))
                connection.close()
            times.append((time.perf_counter() - started) * 1e3)
            due = max(due + pause, time.perf_counter() - pause)  # who is late does not catch up in a burst

    threads = [threading.Thread(target=client, args=pair) for pair in enumerate(connections)]
    for thread in threads:
        thread.start()
    try:
        yield times
    finally:
        stop.set()
        for thread in threads:
            thread.join()
