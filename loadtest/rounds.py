"""Throughput: Kiln, alone and behind nginx, the bare loop and the tutorial stack in turns: all see the same machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from . import memory, servers, wrk
from .bare import BareLoop, bare_loop
from .figures import Spread
from .processes import Failed, Program
from .servers import PHOTO, Server

NAMES = ("kiln", "nginx", "bare", "tutorial")
_WARM_UP = 2  # seconds


@dataclass
class Series:
    """What the rounds of one contestant gave. The bare loop has no clients, and so neither latencies nor balance.

    cpu_ms: time on a CPU for one answer, which other users of the machine disturb less than answers a second.
    idlest: CPU time of the worker that had least to do, as a part of its fair share. Near 0, the kernel gave all
    kept-alive connections to its siblings, and a core had nothing to do.
    """

    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    idlest: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def spread(self, name: str) -> Spread | None:
        """One of its lists."""
        values = getattr(self, name)
        return Spread(tuple(values)) if values else None

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)


def measure(names: Collection[str], rounds: int, seconds: int, tell: Callable[[str], None]) -> dict[str, Series]:
    """Run every contestant of `names` once in each round, one at a time."""
    series = {name: Series() for name in NAMES if name in names}
    turns: dict[str, Callable[[int], Turn]] = {}
    with contextlib.ExitStack() as others:
        tutorial = None
        with contextlib.ExitStack() as stack:
            if "kiln" in series:
                tell("starting kiln")
                turns["kiln"] = server_turn(stack.enter_context(servers.kiln()))
            if "nginx" in series:
                tell("starting kiln behind nginx")
                server, proxy = stack.enter_context(servers.behind_nginx())
                turns["nginx"] = server_turn(server, proxy)
            if "bare" in series:
                tell("starting the bare loop")
                turns["bare"] = _bare_turn(stack.enter_context(bare_loop()))
            if "tutorial" in series:
                tell("starting the tutorial stack")
                tutorial = others.enter_context(servers.tutorial())
                turns["tutorial"] = server_turn(tutorial)
            for name, turn in turns.items():
                tell(f"warming up {name}")
                turn(_WARM_UP)
            for number in range(1, rounds + 1):
                for name, turn in turns.items():
                    tell(f"round {number} of {rounds}: {name}")
                    _record(series[name], turn(seconds))
        # Measured when the others are gone: they share pages with it.
        if tutorial is not None and memory.available():
            series["tutorial"].memory_mb.append(memory.megabytes(tutorial.program))
    return series


@dataclass(frozen=True)
class Turn:
    """One contestant's part of a round."""

    per_second: float
    cpu_ms: float
    idlest: float = 1.0
    result: wrk.Result | None = None


def _record(series: Series, turn: Turn) -> None:
    series.per_second.append(turn.per_second)
    series.cpu_ms.append(turn.cpu_ms)
    if turn.result is not None:
        series.idlest.append(turn.idlest)
        series.p50_ms.append(turn.result.p50_ms)
        series.p99_ms.append(turn.result.p99_ms)
        if turn.result.fault:
            series.faults.append(turn.result.fault)


def server_turn(server: Server, proxy: Program | None = None) -> Callable[[int], Turn]:
    """A turn of so many seconds with the photo. proxy: what stands before the server; its time counts, too.

    The turn raises Failed where a process of the server has ended meanwhile, or nothing was answered.
    """

    def turn(seconds: int) -> Turn:
        before, aside = server.program.cpu_seconds(), sum(proxy.cpu_seconds().values()) if proxy else 0.0
        result = wrk.run(server.url, PHOTO, seconds)
        after = server.program.cpu_seconds()
        aside = sum(proxy.cpu_seconds().values()) - aside if proxy else 0.0
        server.program.check()
        if not before.keys() <= after.keys() or not result.requests:
            raise Failed(f"A worker of {server.url} was replaced, or nothing was answered: {result}")
        server.program.settle()
        # On a busy machine the first worker answers, and the turn begins, before the last one is there.
        spent = [late - before.get(process, 0.0) for process, late in after.items()]
        workers = spent[1:]  # the first is gunicorn's master
        idlest = min(workers) * len(workers) / (sum(workers) or 1)
        return Turn(result.per_second, (sum(spent) + aside) / result.requests * 1e3, idlest, result)

    return turn


def _bare_turn(loop: BareLoop) -> Callable[[int], Turn]:
    def turn(seconds: int) -> Turn:
        before = loop.cpu_seconds()
        per_second, count = loop.run(seconds)
        return Turn(per_second, (loop.cpu_seconds() - before) / count * 1e3)

    return turn
