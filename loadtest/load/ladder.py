"""The ladder: each number of users in each round, so that what disturbs the machine for a while disturbs all alike."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

from ..figures import Spread
from . import users as generator
from .tls import Tls
from .watch import GENERATOR, Watch

PERCENTILES = (50, 95, 99)
_BINS = 10  # of the histogram, a decade
_MANY = 100  # answers: enough for the clock of CPU time, which ticks a hundred times a second
_LEAST_CPU = 1e-4  # seconds an answer: decoding a photo alone takes more
_BUSY = 0.9  # of a core: the generator, which has one, is what is measured then


@dataclass
class Point:
    """One number of users. Lists have a value for each round. latencies: milliseconds of all answers of a round."""

    users: int
    per_second: list[float] = field(default_factory=list)
    latencies: list[list[float]] = field(default_factory=list)
    errors: collections.Counter[str] = field(default_factory=collections.Counter)
    cores: dict[str, list[float]] = field(default_factory=dict)  # by process
    memory_mb: dict[str, list[float]] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)  # ids of the server's first processes

    def add(self, outcome: generator.Outcome, watch: Watch) -> None:
        """What one round gave."""
        self.per_second.append(len(outcome.answered) / outcome.seconds)
        self.latencies.append(sorted(took * 1e3 for took in outcome.answered))
        self.errors += outcome.errors
        for name, usage in watch.stop().items():
            self.cores.setdefault(name, []).append(usage.cores)
            self.memory_mb.setdefault(name, []).append(usage.memory_mb)
        self.ended.update(watch.ended())

    def percentile(self, percent: int) -> Spread | None:
        """Of the latencies, milliseconds; None when a round had no answers."""
        if not all(self.latencies):
            return None
        return Spread(tuple(times[math.ceil(len(times) * percent / 100) - 1] for times in self.latencies))

    def cpu(self, cores: int) -> Spread | None:
        """Of the server, as a share of the machine's cores; None where its processes are not watched."""
        mine = [values for name, values in self.cores.items() if name != GENERATOR]
        rounds = min(map(len, mine), default=0)
        if not rounds:
            return None
        return Spread(tuple(sum(values[number] for values in mine) / cores for number in range(rounds)))

    def forget_server(self) -> None:
        """Keep of the processes the load generator alone."""
        self.cores = {GENERATOR: self.cores[GENERATOR]}
        self.memory_mb = {GENERATOR: self.memory_mb[GENERATOR]}

    def histogram(self) -> dict[str, list[float]]:
        """edges_ms: ends of logarithmic bins, one more than bins; counts: of answers, all rounds together."""
        bins = collections.Counter(math.ceil(_BINS * math.log10(took)) for times in self.latencies for took in times)
        if not bins:
            return {"edges_ms": [], "counts": []}
        numbers = range(min(bins), max(bins) + 1)
        return {
            "edges_ms": [10 ** ((n - 1) / _BINS) for n in (*numbers, max(bins) + 1)],
            "counts": [bins[n] for n in numbers],
        }

    def faults(self) -> list[str]:
        """Why the point must not be taken for what the server can do."""
        found = [f"{count} x {what}" for what, count in self.errors.most_common()]
        if not all(self.latencies):
            found.append("a round without any answer")
        if self.ended:
            found.append(f"the server's process {', '.join(map(str, sorted(self.ended)))} ended")
        if max(self.cores.get(GENERATOR, [0.0])) > _BUSY:
            found.append("the load generator was busy and may be what is measured")
        return found

    def to_json(self, cores: int) -> dict[str, Any]:
        """Everything but the single answers."""
        cpu = self.cpu(cores)
        return {
            "users": self.users,
            "per_second": Spread(tuple(self.per_second)).to_json(),
            **{f"p{percent}_ms": _json(self.percentile(percent)) for percent in PERCENTILES},
            "cpu": _json(cpu),
            "processes": [
                {
                    "name": name,
                    "cores": Spread(tuple(values)).to_json(),
                    "memory_mb": Spread(tuple(self.memory_mb[name])).to_json(),
                }
                for name, values in self.cores.items()
            ],
            "histogram": self.histogram(),
            "errors": dict(self.errors),
            "faults": self.faults(),
        }


def not_the_server(points: Sequence[Point], seconds: float) -> bool:
    """Did the watched processes take next to no CPU for many answers? Then others gave them. seconds: of a round."""
    answers = sum(len(times) for point in points for times in point.latencies)
    shares = [values for point in points for name, values in point.cores.items() if name != GENERATOR]
    return bool(shares) and answers >= _MANY and sum(map(sum, shares)) * seconds < _LEAST_CPU * answers


def _json(spread: Spread | None) -> dict[str, object] | None:
    return spread.to_json() if spread else None


def climb(
    address: tuple[str, int],
    requests: Sequence[bytes],
    steps: Sequence[int],
    seconds: float,
    rounds: int,
    roots: Sequence[psutil.Process],
    tell: Callable[[str], None],
    tls: Tls | None = None,
) -> list[Point]:
    """Measure every step in every round. roots: the server's first processes, as far as they run here."""
    tell("warming up")
    generator.run(address, requests, max(steps), min(2.0, seconds), tls)
    points = [Point(users) for users in steps]
    for number in range(1, rounds + 1):
        for point in points:
            tell(f"round {number} of {rounds}: {point.users} users")
            watch = Watch(roots)
            point.add(generator.run(address, requests, point.users, seconds, tls), watch)
    return points
