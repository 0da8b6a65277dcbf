"""The findings as tables, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .. import report
from ..figures import Goal, Spread
from .findings import Findings

_VERDICTS = {True: "reached", False: "**missed**", None: ""}


@dataclass(frozen=True)
class Sheet:
    """A table without a form: the first column is text, the others are figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def sheets(found: Findings) -> list[Sheet]:
    """Every table of figures: medians (lowest–highest)."""
    levels = found.levels
    heads = [f"{level} connections" if level > 1 else "1 connection" for level in levels]
    measured = found.measured
    rates = [
        [contestant.title, *(_text(series.spread("per_second", level), 0) for level in levels)]
        for contestant, series in measured
    ]
    rates.append(["bare loop: decode and infer, no HTTP", *([found.bare.text(0)] * len(levels))])
    if engine := found.stages.get("engine"):
        rates.append(["the engine alone", *([f"{2000 / engine.median:,.0f}"] * len(levels))])
    times = [
        [
            contestant.title,
            *(
                f"{_text(series.spread('p50_ms', level), 1)} / {_text(series.spread('p99_ms', level), 1)}"
                for level in levels
            ),
        ]
        for contestant, series in measured
    ]
    rest = [
        [
            contestant.title,
            _text(series.spread("start_s"), 2),
            _text(series.spread("memory_mb"), 0),
            str(contestant.lines),
        ]
        for contestant, series in measured
    ]
    return [
        Sheet("Answers a second", ["", *heads], rates),
        Sheet("Latency, p50 / p99, ms", ["", *heads], times),
        Sheet("", ["", "start to the first answer, s", "memory (PSS), MB", "lines of code"], rest),
    ]


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
    for name, reason in found.outcome.left_out.items():
        console.print(f"[yellow]{escape(f'{name} is left out: {reason}')}[/]")


def markdown(found: Findings) -> str:
    """For a page of the documentation."""
    parts = ["\n".join(f"- {name}: {value}" for name, value in found.machine.items())]
    parts.append("\n".join(f"- {name}: {value}" for name, value in found.versions.items()))
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
