"""Rounds: in each of them every contestant is started, asked, weighed and ended, one at a time.

None but the one that is measured is alive: an idle server takes time on the processors, too (Ray's helpers do), and
shares pages with its neighbours. So each round also has a start, and the figures of a round lie minutes apart.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .. import memory, wrk
from ..bare import bare_loop
from ..figures import Spread
from ..processes import Failed, seconds_on_cpu
from .contestants import KILN, LABELS, Contestant

_WARM_UP = 2  # seconds, so that every process has answered
_WARM_UP_CONNECTIONS = 16


@dataclass
class Point:
    """One number of connections, one figure a round. cpu_ms: time on a CPU of all its processes, for one answer."""

    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


@dataclass
class Series:
    """What the rounds of one contestant gave. points: by number of connections.

    start_s: from its start to its first right answer. memory_mb: PSS of all its processes after the load.
    """

    points: dict[int, Point] = field(default_factory=dict)
    start_s: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def spread(self, name: str, connections: int | None = None) -> Spread | None:
        """One of its lists, or of those of a point; None where there is nothing."""
        values = getattr(self if connections is None else self.points.get(connections, Point()), name)
        return Spread(tuple(values)) if values else None

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)


@dataclass
class Outcome:
    """What all rounds gave: of each contestant, and of the bare loop. left_out: contestant -> why it has no figures."""

    series: dict[str, Series] = field(default_factory=dict)
    bare: list[float] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def measure(
    contestants: Sequence[Contestant],
    rounds: int,
    seconds: int,
    levels: Sequence[int],
    tell: Callable[[str], None],
) -> Outcome:
    """Every contestant once a round, and the bare loop. A peer that fails is left out from then on, by name.

    levels: numbers of connections. Raises Failed where Kiln or the bare loop fails.
    """
    found = Outcome({contestant.name: Series() for contestant in contestants})
    for number in range(1, rounds + 1):
        tell(f"round {number} of {rounds}: bare loop")
        with bare_loop() as loop:
            loop.run(_WARM_UP)
            found.bare.append(loop.run(seconds)[0])
        for contestant in contestants:
            if contestant.name in found.left_out:
                continue
            where = f"round {number} of {rounds}: {contestant.title}"
            try:
                _turn(contestant, found.series[contestant.name], seconds, levels, partial(_tell, tell, where))
            except (Failed, OSError, ValueError, subprocess.CalledProcessError) as failed:
                if contestant.server == KILN:
                    raise
                found.left_out[contestant.name] = str(failed)
                del found.series[contestant.name]
    return found


def _tell(tell: Callable[[str], None], where: str, what: str) -> None:
    tell(f"{where}, {what}")


def _turn(
    contestant: Contestant, series: Series, seconds: int, levels: Sequence[int], tell: Callable[[str], None]
) -> None:
    tell("starting")
    with contestant.start() as server, tempfile.NamedTemporaryFile() as body:
        body.write(contestant.question.body)
        body.flush()

        def ask(length: int, connections: int) -> wrk.Result:
            result = wrk.run(server.url, Path(body.name), length, connections, contestant.question.kind, LABELS)
            server.program.check()
            if not result.requests:
                raise Failed(f"No answers over {connections} connections: {result}")
            server.program.settle()
            return result

        tell("warming up")
        ask(_WARM_UP, _WARM_UP_CONNECTIONS)
        for connections in levels:
            tell(f"{connections} connections")
            before = seconds_on_cpu(server.program.everyone())
            result = ask(seconds, connections)
            after = seconds_on_cpu(server.program.everyone())
            if result.fault:
                series.faults.append(f"{connections} connections: {result.fault}")
            point = series.points.setdefault(connections, Point())
            point.per_second.append(result.per_second)
            point.cpu_ms.append(sum(after[pid] - before.get(pid, 0.0) for pid in after) / result.requests * 1e3)
            point.p50_ms.append(result.p50_ms)
            point.p99_ms.append(result.p99_ms)
        series.start_s.append(server.seconds_to_answer)
        if memory.available():
            series.memory_mb.append(memory.megabytes(server.program))
