"""The findings as tables, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .. import report
from ..figures import Goal, Spread
from .findings import CONNECTIONS, Findings
from .rounds import Series

_PROCESSES = 2
_VERDICTS = {True: "reached", False: "**missed**", None: ""}


@dataclass(frozen=True)
class Sheet:
    """A table without a form: the first column is text, the others are figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def sheets(found: Findings) -> list[Sheet]:
    """Every table of figures: medians (lowest–highest)."""
    heads = [f"{level} connections" if level > 1 else "1 connection" for level in found.levels]
    return [
        Sheet("Answers a second", ["", *heads], _rates(found)),
        Sheet("Latency, p50 / p99, ms", ["", *heads], _latencies(found)),
        Sheet(
            f"What an answer costs at {_judged(found.levels)} connections, and all else",
            ["", "CPU ms of an answer", "first answer, s", "memory (PSS), MB", "lines of code"],
            _costs(found),
        ),
    ]


def _rates(found: Findings) -> list[list[str]]:
    rows = [
        [contestant.title, *(_text(series.spread("per_second", level), 0) for level in found.levels)]
        for contestant, series in found.measured
    ]
    bounds = [("bare loop: decode and infer, no HTTP", found.bare.text(0))]
    if engine := found.stages.get("engine"):
        bounds.append((f"the engine alone, {_PROCESSES} of it", f"{_PROCESSES * 1e3 / engine.median:,.0f}"))
    return rows + [[name, *([text] * len(found.levels))] for name, text in bounds]


def _latencies(found: Findings) -> list[list[str]]:
    def both(series: Series, level: int) -> str:
        return " / ".join(_text(series.spread(name, level), 1) for name in ("p50_ms", "p99_ms"))

    return [
        [contestant.title, *(both(series, level) for level in found.levels)] for contestant, series in found.measured
    ]


def _costs(found: Findings) -> list[list[str]]:
    return [
        [
            contestant.title,
            _text(series.spread("cpu_ms", _judged(found.levels)), 2),
            _text(series.spread("start_s"), 2),
            _text(series.spread("memory_mb"), 0),
            str(contestant.lines),
        ]
        for contestant, series in found.measured
    ]


def _judged(levels: Sequence[int]) -> int:
    """The number of connections that the goals are judged at, or else the nearest to it."""
    return min(levels, key=lambda level: abs(level - CONNECTIONS))


def show(console: Console, found: Findings) -> None:
    """On the terminal."""
    for sheet in sheets(found):
        table = Table(title=sheet.title or None, title_justify="left", title_style="bold")
        for number, column in enumerate(sheet.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in sheet.rows:
            table.add_row(*map(escape, row))
        console.print(table)
    report.goals(console, found.goals(), found.faults())
    console.print(f"{found.effort()}.", style=None if found.publishable else "yellow", markup=False, highlight=False)
    for name, reason in found.outcome.left_out.items():
        console.print(f"[yellow]{escape(f'{name} is left out: {reason}')}[/]")


def markdown(found: Findings) -> str:
    """For a page of the documentation."""
    parts = ["\n".join(f"- {name}: {value}" for name, value in found.machine.items())]
    parts.append("\n".join(f"- {name}: {value}" for name, value in found.versions.items()))
    parts.append(f"{found.effort()}." if found.publishable else f"**{found.effort()}.**")
    for sheet in sheets(found):
        parts += [sheet.title + ":"] if sheet.title else []
        parts.append(_markdown_table(sheet))
    goals = [
        [goal.name, goal.figure.text(goal.digits) + goal.unit, goal.wanted, _verdict(goal)] for goal in found.goals()
    ]
    if goals:
        parts.append(_markdown_table(Sheet("", ["goal", "found", "wanted", ""], goals)))
    parts += [f"Left out: {name}. {_one_line(reason)}" for name, reason in found.outcome.left_out.items()]
    parts += [f"**Not valid**: {fault}" for fault in found.faults()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(sheet: Sheet) -> str:
    lines = [sheet.columns, ["---", *["---:"] * (len(sheet.columns) - 1)], *sheet.rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)


def _verdict(goal: Goal) -> str:
    return _VERDICTS[goal.met] + ("" if goal.clear else " (rounds disagree)")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


def _text(spread: Spread | None, digits: int) -> str:
    return spread.text(digits) if spread else ""
