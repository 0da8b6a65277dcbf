"""The findings as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from . import asking, rounds
from . import dialects as protocols
from . import forms as ways
from . import zoo as zoos
from .figures import Goal, Spread

_TITLES = {"kiln": "Kiln", "nginx": "behind nginx", "bare": "bare loop", "tutorial": "tutorial stack"}

_VERDICTS = {True: "[green]met[/]", False: "[red]not met[/]", None: ""}
_ROWS = (
    ("answers a second", "per_second", 0),
    ("CPU ms of an answer", "cpu_ms", 2),
    ("idlest worker, of its fair share", "idlest", 2),
    ("latency p50, ms", "p50_ms", 1),
    ("latency p99, ms", "p99_ms", 1),
    ("memory (PSS), MB", "memory_mb", 0),
)


def machine(console: Console, facts: Mapping[str, str], warning: str) -> None:
    """What the figures are from."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(name, escape(value))
    console.print(table)
    if warning:
        console.print(f"[yellow]{warning}[/]")


def findings(
    console: Console,
    series: Mapping[str, rounds.Series],
    stages: Mapping[str, Spread],
    starts: Mapping[str, Spread],
    memory: Mapping[int, Spread],
) -> None:
    """Every table that has something in it. Figures are medians (lowest–highest)."""
    if series:
        title = "2 workers, 16 connections, a 22 KB JPEG each time; bare loop: decode and infer, no HTTP"
        table = _table(title, "", *(_TITLES[name] for name in series))
        for row, name, digits in _ROWS:
            table.add_row(row, *(_text(found.spread(name), digits) for found in series.values()))
        console.print(table)
    if stages:
        table = _table("CPU time of one picture, each stage alone", "stage", "ms")
        for name, spread in stages.items():
            table.add_row(name, spread.text(3))
        console.print(table)
    if starts:
        table = _table("Start to the first answer, 2 workers", "engine", "s")
        for name, spread in starts.items():
            table.add_row(name, spread.text())
        console.print(table)
    if memory:
        table = _table("Memory (PSS) of all processes, after 200 answers of each worker", "workers", "MB")
        for workers, spread in memory.items():
            table.add_row(str(workers), spread.text(0))
        console.print(table)


def zoo(console: Console, found: Mapping[str, zoos.Series]) -> None:
    """Pictures a second of the large networks."""
    if not found:
        return
    table = _table("Pictures a second, 224 px, one by one on one thread", "", *found)
    rows = {
        "tf.function": "tensorflow",
        "engine": "engine",
        "2 processes: engine": "engines",
        "2 processes: decode, engine": "bare",
        "2 workers: service, JPEGs over HTTP": "service",
    }
    table.add_row("engine that was chosen", *(series.chosen for series in found.values()))
    for row, name in rows.items():
        figures = [getattr(series, name) for series in found.values()]
        table.add_row(row, *(Spread(tuple(values)).text(0) if values else "" for values in figures))
    console.print(table)


def forms(console: Console, found: ways.Findings | None) -> None:
    """Each way to post a picture."""
    if found:
        _series(console, f"{ways.MODEL}, 2 workers, by the way in which the picture is posted", found.ways)


def dialects(console: Console, found: protocols.Findings | None) -> None:
    """Each form of a request to the same model."""
    if not found:
        return
    _series(console, f"{protocols.MODEL}, 2 workers, by the form of the request", found.forms)
    console.print(f"Decoding the picture takes {found.decode_ms:.2f} ms of it.")


def _series(console: Console, title: str, found: Mapping[str, asking.Series]) -> None:
    table = _table(title, "", "answers a second", "CPU ms of an answer")
    for name, series in found.items():
        table.add_row(name, series.rate.text(0), series.cpu.text())
    console.print(table)


def goals(console: Console, found: Sequence[Goal], faults: Sequence[str]) -> None:
    """What was wanted and what was reached."""
    if found:
        table = _table("Goals", "", "found", "wanted", "")
        for goal in found:
            verdict = _VERDICTS[goal.met] + ("" if goal.clear else " (rounds disagree)")
            table.add_row(goal.name, goal.figure.text(goal.digits) + goal.unit, goal.wanted, verdict)
        console.print(table)
    for fault in faults:
        console.print(f"[red]{escape(fault)}[/]")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _text(spread: Spread | None, digits: int) -> str:
    return spread.text(digits) if spread else ""
