"""The figures of a report, drawn from its JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..figures import Spread
from .format import error_share
from .watch import GENERATOR

_COLOURS = {"p50_ms": "#1f77b4", "p95_ms": "#ff7f0e", "p99_ms": "#d62728"}


def draw(report: dict[str, Any], folder: Path) -> dict[str, str]:
    """file -> its caption, in the order in which they are shown."""
    captions = {}
    for name, (caption, plot) in _FIGURES.items():
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # takes a second
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        plot(figure, report["points"])
        figure.savefig(folder / name, dpi=130)
        captions[name] = caption
    return captions


def _response(figure: Any, points: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    for name, colour in _COLOURS.items():
        _spread(axes, [point["users"] for point in points], [point[name] for point in points], name[:3], colour)
    axes.set(xlabel="users", ylabel="response time, ms", ylim=(0, None))
    _finish(axes)


def _throughput(figure: Any, points: list[dict[str, Any]]) -> None:
    answers, errors = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    users = [point["users"] for point in points]
    _spread(answers, users, [point["per_second"] for point in points], "answers", "#2ca02c")
    answers.set(ylabel="answers a second", ylim=(0, None))
    shares = [100 * error_share(point) for point in points]
    errors.plot(users, shares, marker="x", color="#d62728", clip_on=False)
    errors.set(xlabel="users", ylabel="errors, %", ylim=(0, 1.2 * max(1.0, *shares)))
    _finish(answers)
    _finish(errors, legend=False)


def _spread(
    axes: Any,
    users: list[int],
    values: list[dict[str, Any] | None],
    label: str,
    colour: str | None = None,
    style: str = "-",
) -> None:
    """The median as a line, the range as bars; without the points that have no value."""
    known = [(user, value) for user, value in zip(users, values, strict=True) if value]
    medians = [value["median"] for _, value in known]
    below = [value["median"] - value["min"] for _, value in known]
    above = [value["max"] - value["median"] for _, value in known]
    at = [user for user, _ in known]
    bars = (below, above)
    axes.errorbar(at, medians, yerr=bars, marker="o", ms=4, capsize=4, label=label, color=colour, linestyle=style)


def _finish(axes: Any, *, legend: bool = True) -> None:
    """Of a figure against the number of users."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if legend:
        axes.legend()
    axes.spines[["top", "right"]].set_visible(False)


def _histogram(figure: Any, points: list[dict[str, Any]]) -> None:
    from matplotlib.ticker import LogLocator

    axes = figure.subplots()
    for point in points:
        edges, counts = point["histogram"]["edges_ms"], point["histogram"]["counts"]
        if not counts:
            continue
        parts = [100 * count / sum(counts) for count in counts]
        axes.stairs(parts, edges, label=f"{point['users']} users")
    axes.set(xscale="log", xlabel="response time, ms", ylabel="% of answers", ylim=(0, None))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.grid(alpha=0.3)
    if any(point["histogram"]["counts"] for point in points):
        axes.legend(fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)


def _processes(figure: Any, points: list[dict[str, Any]]) -> None:
    cpu, memory = figure.subplots(1, 2)
    names = [process["name"] for process in points[0]["processes"]]
    for name in names:
        style = "--" if name == GENERATOR else "-"
        for axes, key in ((cpu, "cores"), (memory, "memory_mb")):
            found = [
                (point["users"], process[key])
                for point in points
                for process in point["processes"]
                if process["name"] == name
            ]
            _spread(axes, [users for users, _ in found], [value for _, value in found], name, style=style)
    cpu.set(xlabel="users", ylabel="CPU, cores", ylim=(0, None))
    memory.set(xlabel="users", ylabel="memory, MB", ylim=(0, None))
    for axes in (cpu, memory):
        _finish(axes, legend=False)
    handles, labels = cpu.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize="small", loc="outside lower center", ncols=3)


_FIGURES: dict[str, tuple[str, Callable[[Any, list[dict[str, Any]]], None]]] = {
    "response_time.png": ("Response time against concurrency", _response),
    "throughput.png": ("Throughput and errors against concurrency", _throughput),
    "histogram.png": ("Response times of all answers", _histogram),
    "processes.png": ("CPU and memory of each process", _processes),
}


def spread_text(value: dict[str, Any] | None, digits: int) -> str:
    """median (lowest–highest), or a dash."""
    return Spread(tuple(value["values"])).text(digits) if value else "–"
