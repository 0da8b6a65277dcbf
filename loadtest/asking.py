"""Ask one server the same thing in several ways, in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import wrk
from .figures import Spread
from .processes import Failed
from .servers import Server

_WARM_UP = 1  # seconds


@dataclass(frozen=True)
class Question:
    """What is posted: a file, to where, as which media type, with which header fields beside that."""

    file: Path
    path: str
    kind: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Series:
    """One question, a figure a round. cpu_ms: time on a CPU for one answer, of all of Kiln's processes."""

    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def rate(self) -> Spread:
        """Answers a second."""
        return Spread(tuple(self.per_second))

    @property
    def cpu(self) -> Spread:
        """Milliseconds on a CPU for one answer."""
        return Spread(tuple(self.cpu_ms))


def faults(found: Mapping[str, Series]) -> list[str]:
    """Why some of it must not be used."""
    return [f"{name} is not valid: {fault}" for name, series in found.items() for fault in series.faults]


def in_turns(
    server: Server,
    questions: Mapping[str, Question],
    rounds: int,
    seconds: int,
    connections: int,
    tell: Callable[[str], None],
) -> dict[str, Series]:
    """Ask each once a round, after a warm-up. Raises Failed where one is not answered."""
    found = {name: Series() for name in questions}
    for question in questions.values():
        _ask(server, question, _WARM_UP, connections)
    for number in range(1, rounds + 1):
        for name, question in questions.items():
            tell(f"round {number} of {rounds}: {name}")
            result, cpu_ms = _ask(server, question, seconds, connections)
            series = found[name]
            series.per_second.append(result.per_second)
            series.cpu_ms.append(cpu_ms)
            series.faults += [result.fault] if result.fault else []
    return found


def _ask(server: Server, question: Question, seconds: int, connections: int) -> tuple[wrk.Result, float]:
    """(what wrk found, milliseconds on a CPU for an answer)"""
    url = f"http://127.0.0.1:{server.port}{question.path}"
    before = sum(server.program.cpu_seconds().values())
    result = wrk.run(url, question.file, seconds, connections, question.kind, headers=question.headers)
    spent = sum(server.program.cpu_seconds().values()) - before
    server.program.check()
    if not result.requests:
        raise Failed(f"Nothing was answered at {question.path}.")
    server.program.settle()
    return result, spent / result.requests * 1e3
