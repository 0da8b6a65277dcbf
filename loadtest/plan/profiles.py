"""Load over a day, as rates of equally long steps. A profile repeats itself."""

from __future__ import annotations

import csv
import itertools
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..processes import Failed
from .arithmetic import LARGEST, SMALLEST

NAMES = ("constant", "day", "spikes")
WITH_MEAN = ("day", "spikes")
_DAY = 24 * 60.0  # minutes
_STEPS = 288  # of five minutes
_SEPARATORS = ",;\t"
_SPIKE_STEPS = 12  # an hour a day, as two spikes of half an hour


@dataclass(frozen=True)
class Profile:
    """rates: requests a second of each step. minutes: how long a step is."""

    name: str
    rates: tuple[float, ...]
    minutes: float


def shaped(name: str, peak: float, mean: float) -> Profile:
    """One of NAMES with its highest rate at `peak` and its mean at `mean` x peak; `constant` is at the peak always.

    Raises Failed where a shape cannot have that mean.
    """
    if name == "constant":
        return Profile(name, (peak,), _DAY)
    if not 0 < mean < 1:
        raise Failed(f"--mean {mean:g}: the mean of a {name} profile is a part of its peak, above 0 and below 1.")
    shape = _day(mean) if name == "day" else _spikes(mean)
    return Profile(name, tuple(peak * part for part in shape), _DAY / _STEPS)


def _day(mean: float) -> list[float]:
    """One wave a day, sharper the lower its mean: a power of half a cosine's wave."""
    wave = [(1 - math.cos(2 * math.pi * step / _STEPS)) / 2 for step in range(_STEPS)]
    return _solve(lambda power: [part**power for part in wave], mean)


def _solve(shape: Callable[[float], list[float]], mean: float) -> list[float]:
    low, high = 1e-3, 1e4  # the mean falls as the power grows
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if statistics.fmean(shape(middle)) > mean else (low, middle)
    return shape(low)


def _spikes(mean: float) -> list[float]:
    """Two half-hours at the peak; all else is level."""
    share = _SPIKE_STEPS / _STEPS
    level = (mean - share) / (1 - share)
    if level < 0:
        raise Failed(f"--mean {mean:g}: two half-hours a day at the peak alone have a mean of {share:.3f}; give more.")
    spikes = {start + step for start in (_STEPS // 3, 2 * _STEPS // 3) for step in range(_SPIKE_STEPS // 2)}
    return [1.0 if step in spikes else level for step in range(_STEPS)]


def from_csv(path: Path, peak: float | None) -> Profile:
    """Columns `minute,rate`, equally spaced, with that header; a comma, a semicolon or a tab between them. peak: scales
    the highest rate to it.

    Raises Failed with every problem that the file has.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            rows = list(csv.DictReader(file, delimiter=max(_SEPARATORS, key=header.count)))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise Failed(f"{path} cannot be read as CSV: {fault}") from fault
    if not rows or not {"minute", "rate"} <= rows[0].keys():
        raise Failed(
            f"{path}: the first line must be `minute,rate`, with a comma, a semicolon or a tab between "
            "them, and at least two lines of numbers follow it."
        )
    problems, points = [], list[tuple[float, float]]()
    for line, row in enumerate(rows, start=2):
        try:
            minute, rate = float(row["minute"]), float(row["rate"])
        except (TypeError, ValueError):
            hint = "; write 10.5 for 10,5" if any("," in str(value) for value in row.values()) else ""
            problems.append(f"line {line} has no two numbers{hint}")
            continue
        if not (abs(minute) <= LARGEST and 0 <= rate <= LARGEST):
            problems.append(f"line {line}: minute and rate must be numbers up to {LARGEST:g}, and rate not negative")
        points.append((minute, rate))
    steps = [late[0] - early[0] for early, late in itertools.pairwise(points)]
    if not problems:
        if not steps:
            problems.append("at least two lines of numbers are needed")
        elif min(steps) <= 0 or max(steps) - min(steps) > 1e-6 * max(steps):
            problems.append("minutes must rise in equal steps")
        if not any(rate >= SMALLEST for _, rate in points):
            problems.append("every rate is 0")
    if problems:
        raise Failed(f"{path}: {'; '.join(problems[:10])}.")
    highest = max(rate for _, rate in points)
    factor = 1.0 if peak is None else peak / highest
    return Profile(path.name, tuple(rate * factor for _, rate in points), steps[0])
