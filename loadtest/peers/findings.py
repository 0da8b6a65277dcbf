"""What a run found: its goals, what makes it invalid, and all of it as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..figures import Goal, Spread, ratio
from .contestants import KILN, Contestant
from .rounds import Outcome, Series

CONNECTIONS = 16  # at which the goals are judged
_KILN = "kiln/litert"
_ENOUGH = 3  # rounds: fewer show no spread
_IMPOSSIBLE = 1.1  # of what the bare loop manages; a little more than 1 for the noise
# Kiln's answers a second in terms of theirs: by server, or by server and engine.
_TIMES: Mapping[str, float] = {
    "tutorial/keras": 40,
    "fastapi/litert": 1.3,
    "litserve": 2,
    "bentoml": 4,
    "mlserver": 4,
    "ray": 4,
    "ray-fast": 4,
}
_BARE = 0.9
_TAIL = 2  # p99 in terms of p50
_START_S = 0.6
_MEMORY_MB = 100


@dataclass
class Findings:
    """All of one run. seconds: of each measurement. machine: what it ran on. versions: of each contestant. stages: CPU
    milliseconds, each alone."""

    contestants: Sequence[Contestant]
    outcome: Outcome
    levels: Sequence[int]
    seconds: int
    machine: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, Spread] = field(default_factory=dict)

    @property
    def measured(self) -> list[tuple[Contestant, Series]]:
        """Those that have figures."""
        series = self.outcome.series
        return [(contestant, series[contestant.name]) for contestant in self.contestants if contestant.name in series]

    @property
    def bare(self) -> Spread:
        """Pictures a second of the bare loop."""
        return Spread(tuple(self.outcome.bare))

    @property
    def rounds(self) -> int:
        """How many there were; each has the bare loop in it."""
        return len(self.outcome.bare)

    @property
    def publishable(self) -> bool:
        """Are there enough rounds to tell a difference from noise?"""
        return self.rounds >= _ENOUGH

    def effort(self) -> str:
        """How long was measured, in words, and whether that is enough."""
        text = f"{self.rounds} {'round' if self.rounds == 1 else 'rounds'} of {self.seconds} s"
        return text if self.publishable else f"{text}: not enough to publish, which takes at least {_ENOUGH} rounds"

    def goals(self) -> list[Goal]:
        """Every goal that can be judged by what was measured."""
        kiln = self.outcome.series.get(_KILN)
        mine = kiln.spread("per_second", CONNECTIONS) if kiln else None
        if kiln is None or mine is None:
            return []
        found = [Goal("answers: Kiln / bare loop", ratio(mine, self.bare), _BARE, at_least=True)]
        for contestant, series in self.measured:
            wanted = _TIMES.get(contestant.name, _TIMES.get(contestant.server))
            if contestant.server != KILN and (theirs := series.spread("per_second", CONNECTIONS)):
                name = f"answers: Kiln / {contestant.title}"
                found.append(Goal(name, ratio(mine, theirs), wanted, at_least=True, digits=1))
        p50, p99 = kiln.spread("p50_ms", CONNECTIONS), kiln.spread("p99_ms", CONNECTIONS)
        if p50 and p99:
            found.append(Goal("Kiln: p99 / p50", ratio(p99, p50), _TAIL))
        if start := kiln.spread("start_s"):
            found.append(Goal("Kiln: start to the first answer", start, _START_S, unit=" s"))
        if memory := kiln.spread("memory_mb"):
            found.append(Goal("Kiln: memory", memory, _MEMORY_MB, unit=" MB", digits=0))
        return found

    def faults(self) -> list[str]:
        """Why some of it must not be used."""
        found = [
            f"{contestant.title} is not valid: {fault}"
            for contestant, series in self.measured
            for fault in series.faults
        ]
        ratios = [
            (max(ratio(rate, self.bare).values), contestant.title)
            for contestant, series in self.measured
            for rate in _rates(series)
        ]
        best, title = max(ratios, default=(0.0, ""))
        if best > _IMPOSSIBLE:
            found.append(f"The bare loop is not valid: {title} made {best:.2f} of it. Others took the machine.")
        return found

    def to_json(self) -> dict[str, Any]:
        """Everything, with the values of every round."""
        return {
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "rounds": self.rounds,
            "seconds": self.seconds,
            "enough_to_publish": self.publishable,
            "connections": list(self.levels),
            "goals": [goal.to_json() for goal in self.goals()],
            "faults": self.faults(),
            "left_out": self.outcome.left_out,
            "bare_per_second": self.bare.to_json(),
            "stages_ms": {name: spread.to_json() for name, spread in self.stages.items()},
            "contestants": {
                contestant.name: {"title": contestant.title, "lines": contestant.lines, **series.to_json()}
                for contestant, series in self.measured
            },
        }


def _rates(series: Series) -> list[Spread]:
    return [Spread(tuple(point.per_second)) for point in series.points.values()]
