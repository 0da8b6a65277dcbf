"""The plan as a picture: machines over the profile's time, and what each way costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..processes import Failed
from .profiles import Profile
from .verdicts import Verdict

_MOST = 1000  # steps that are drawn; more are a blot, and take long
_STRETCHES = {15: "15 minutes", 60: "hour", 360: "6 hours", 1440: "day", 7 * 1440: "week"}  # minutes -> name
# Name of a unit -> its minutes, up to how many of it, how far apart ticks may be.
_UNITS: dict[str, tuple[float, float, Sequence[int]]] = {
    "minutes": (1, 180, (1, 2, 5, 10, 15, 30)),
    "hours": (60, 96, (1, 2, 3, 4, 6, 12)),
    "days": (1440, math.inf, (1, 2, 7, 14, 30, 60)),
}
_TICKS = 8


def named(file: str) -> str:
    """The true name of a picture: PNG where it has no ending."""
    return file if Path(file).suffix else f"{file}.png"


def draw(path: Path, profile: Profile, machines: Mapping[str, Sequence[float]], judged: Sequence[Verdict]) -> None:
    """machines: name -> machines that run in each step of the profile. What does not hold is grey. Raises Failed where
    `path` cannot be written or its ending names no format of pictures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # takes a second
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(12, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    time, cost = figure.subplots(1, 2, width_ratios=(3, 2))
    group, stretch = _stretch(profile)
    _times(time, len(profile.rates) * profile.minutes)
    # What is drawn later lies above: thinner, so that both show where two ways are alike.
    for place, (name, running) in enumerate(machines.items()):
        highest = [max(running[first : first + group]) for first in range(0, len(running), group)]
        edges = [min(step * group, len(running)) * profile.minutes for step in range(len(highest) + 1)]
        time.stairs(highest, edges, baseline=None, label=name, linewidth=1.3 + 0.9 * (len(machines) - 1 - place))
    time.set(ylabel=f"machines{stretch}", ylim=(0, None), title=f"Machines that run: {profile.name}")
    time.yaxis.set_major_locator(MaxNLocator(integer=True))
    time.grid(alpha=0.3)
    figure.legend(fontsize="small", loc="outside lower left", ncols=3)
    bars = cost.barh(
        [one.way.name for one in judged],
        [one.way.a_month for one in judged],
        color=["lightgrey" if one.faults else "tab:blue" for one in judged],
    )
    cost.bar_label(bars, [", ".join((f"{one.way.a_month:,.2f}", *one.faults)) for one in judged], padding=3)
    cost.invert_yaxis()
    cost.margins(x=0.6)
    cost.set(xlabel="a month", title="Cost")
    cost.spines[["top", "right"]].set_visible(False)
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as fault:
        raise Failed(f"--plot {path}: {fault}") from fault


def _stretch(profile: Profile) -> tuple[int, str]:
    """How many steps are drawn as one, their highest, and how to say it."""
    if len(profile.rates) <= _MOST:
        return 1, ""
    for minutes, name in _STRETCHES.items():
        group = max(1, round(minutes / profile.minutes))
        if len(profile.rates) / group <= _MOST:
            return group, f", highest of each {name}"
    group = math.ceil(len(profile.rates) / _MOST)
    return group, f", highest of each {group * profile.minutes / 1440:.3g} days"


def _times(axes: Any, minutes: float) -> None:
    """Minutes from 0 on, shown in a unit that gives few and whole numbers."""
    from matplotlib.ticker import MaxNLocator, MultipleLocator

    name, (unit, _, distances) = next((name, parts) for name, parts in _UNITS.items() if minutes <= parts[0] * parts[1])
    fitting = [distance for distance in distances if 2 <= minutes / unit / distance <= _TICKS]
    axes.set(xlabel=name, xlim=(0, minutes))
    axes.xaxis.set_major_locator(MultipleLocator(fitting[0] * unit) if fitting else MaxNLocator(_TICKS))
    axes.xaxis.set_major_formatter(lambda at, _: f"{at / unit:g}")
