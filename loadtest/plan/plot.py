"""The plan as a picture: machines over the profile's time, and what each way costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..processes import Failed
from .profiles import Profile
from .verdicts import Verdict


def draw(path: Path, profile: Profile, machines: Mapping[str, Sequence[float]], judged: Sequence[Verdict]) -> None:
    """machines: name -> machines that run in each step of the profile. What does not hold is grey. Raises Failed where
    `path` cannot be written or its ending names no format of pictures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # takes a second
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(12, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    time, cost = figure.subplots(1, 2, width_ratios=(3, 2))
    hours = [step * profile.minutes / 60 for step in range(len(profile.rates) + 1)]
    for name, running in machines.items():
        time.step(hours, [*running, running[-1]], where="post", label=name)
    time.set(xlabel="hours", ylabel="machines", ylim=(0, None), title=f"Machines that run: {profile.name}")
    time.set_xlim(0, hours[-1])
    time.set_xticks([hours[-1] * sixth / 6 for sixth in range(7)])
    time.xaxis.set_major_formatter("{x:g}")
    time.yaxis.set_major_locator(MaxNLocator(integer=True))
    time.grid(alpha=0.3)
    time.legend(fontsize="small")
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
