"""What Kiln does with 1, 2, 5 and 10 times the load that it can answer: `python -m loadtest.overload`.

One worker on one core, the generator on another, so that neither takes the other's time. A pass at each multiple, then
normal load again. Everything is bounded in time and goes over the loopback address.

With the model that ships, or with a model of pictures of your own: `--store STORE --model NAME`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import memory, openloop, servers
from .openloop import Outcome
from .processes import end_on_sigterm

_TIMES = (1, 2, 5, 10)
_CALM = 0.5  # of the capacity, before and after the storm


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.overload", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="how long at each multiple (default: 5)")
    parser.add_argument("--engine", default="", help="engine to serve with (default: the bundle's own choice)")
    parser.add_argument("--store", type=Path, default=None, help="where --model is (default: the one that ships)")
    parser.add_argument("--model", default="", help="a model of pictures there (default: the one that ships)")
    parser.add_argument("--new-connections", action="store_true", help="one for each request, as many clients have")
    options = parser.parse_args(arguments)
    end_on_sigterm()
    console = Console()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        console.print("This needs two cores: one for the server, one for the load.")
        return 1
    os.sched_setaffinity(0, cores[:1])  # inherited by the server
    known = {} if not options.model else {"store": options.store, "model": options.model, "expected": ""}
    with servers.kiln(workers=1, engine=options.engine, **known) as server:
        os.sched_setaffinity(0, cores[1:2])
        _measure(console, server, options.seconds, keep=not options.new_connections)
    return 0


def _measure(console: Console, server: servers.Server, seconds: float, *, keep: bool) -> None:
    request = openloop.post(servers.PHOTO.read_bytes(), keep=keep)
    capacity = _capacity(server.port, request)
    console.print(f"Capacity of one worker on one core: {capacity:,.0f} answers a second")
    calm = openloop.run(server.port, request, _CALM * capacity, seconds)
    table = Table(title="open-loop load, one worker")
    for title in ("load", "offered/s", "answered/s", "of best", "p50 ms", "p99 ms", "refused/s", "refused p50 ms"):
        table.add_column(title, justify="right")
    table.add_column("memory MB", justify="right")
    table.add_column("else")
    rows, best = [], 0.0
    for times in _TIMES:
        outcome = openloop.run(server.port, request, times * capacity, seconds)
        best = max(best, len(outcome.answered) / seconds)
        rows.append((f"{times}x", outcome, memory.megabytes(server.program) if memory.available() else 0.0))
    after = openloop.run(server.port, request, _CALM * capacity, seconds)
    late = Outcome(answered=[took for took, when in zip(after.answered, after.finished, strict=True) if when > 2])
    for name, outcome, size in [("0.5x before", calm, 0.0), *rows, ("0.5x after", after, 0.0)]:
        good = len(outcome.answered) / seconds
        table.add_row(
            name,
            f"{outcome.offered / seconds:,.0f}",
            f"{good:,.0f}",
            f"{good / best:.2f}" if "0.5" not in name else "",
            _milliseconds(outcome.answered, 0.5),
            _milliseconds(outcome.answered, 0.99),
            f"{len(outcome.refused) / seconds:,.0f}",
            _milliseconds(outcome.refused, 0.5),
            f"{size:.0f}" if size else "",
            ", ".join(f"{count} {what}" for what, count in outcome.others.items()),
        )
    console.print(table)
    console.print(f"p99 from two seconds after the storm on: {_milliseconds(late.answered, 0.99)} ms")


def _capacity(port: int, request: bytes) -> float:
    """Answers a second with more offered than can be answered; the median of three passes."""
    openloop.run(port, request, 300, 1)  # warm up
    found = []
    rate = 400.0
    for _ in range(3):
        outcome = openloop.run(port, request, rate, 2)
        while not outcome.refused and rate < 1e5:
            rate *= 1.5
            outcome = openloop.run(port, request, rate, 2)
        found.append(len(outcome.answered) / 2)
    return statistics.median(found)


def _milliseconds(seconds: Sequence[float], share: float) -> str:
    if not seconds:
        return ""
    return f"{sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))] * 1e3:.1f}"


if __name__ == "__main__":
    sys.exit(main())
