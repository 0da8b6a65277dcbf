"""Load over a day, as rates of equally long steps. A profile repeats itself."""

from __future__ import annotations

import csv
import itertools
import math
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..processes import Failed
from .arithmetic import LARGEST, SMALLEST

NAMES = ("constant", "day", "spikes")
WITH_MEAN = ("day", "spikes")
_DAY = 24 * 60.0  # minutes
_STEPS = 288  # of five minutes
_SEPARATORS = ",;\t"
_ROUNDING = 1e-6  # of a step
_UNLIKE = 0.2  # of a step: more is no rounding
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
    """Columns `minute,rate`, equally spaced, with that header; a comma, a semicolon or a tab between them. Minutes may
    be rounded. peak: scales the highest rate to it.

    Raises Failed with every problem that the file has.
    """
    rows = _rows(path)
    if not rows or not {"minute", "rate"} <= rows[0][1].keys():
        raise Failed(
            f"{path}: the first line must be `minute,rate`, with a comma, a semicolon or a tab between "
            "them, and at least two lines of numbers follow it."
        )
    problems, points = [], list[_Point]()
    for line, row in rows:
        minute, rate = row["minute"], row["rate"]
        try:
            points.append(_Point(line, float(minute), _unit(minute), float(rate)))
        except (TypeError, ValueError):
            problems.append(f"line {line} has no two numbers{_hint(minute, rate)}")
            continue
        if any(row.get(None, ())):  # 0,1,000 would be one, not a thousand
            problems.append(f"line {line} has more cells than the first line")
        if not (abs(points[-1].minute) <= LARGEST and 0 <= points[-1].rate <= LARGEST):
            problems.append(f"line {line}: minute and rate must be numbers up to {LARGEST:g}, and rate not negative")
    if not problems:
        if len(points) < 2:
            problems.append("at least two lines of numbers are needed")
        elif uneven := _uneven(points):
            problems.append(uneven)
        if not any(point.rate >= SMALLEST for point in points):
            problems.append("every rate is 0")
    if problems:
        raise Failed(f"{path}: {'; '.join(problems[:10])}.")
    factor = 1.0 if peak is None else peak / max(point.rate for point in points)
    minutes = (points[-1].minute - points[0].minute) / (len(points) - 1)
    return Profile(path.name, tuple(point.rate * factor for point in points), minutes)


@dataclass(frozen=True)
class _Point:
    """A line of a CSV. unit: of the minute's last decimal, as it is written."""

    line: int
    minute: float
    unit: float
    rate: float


def _rows(path: Path) -> list[tuple[int, dict[Any, Any]]]:
    """Lines with their numbers."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=max(_SEPARATORS, key=header.count))
            return [(reader.line_num, row) for row in reader]
    except FileNotFoundError as fault:
        raise Failed(
            f"--profile {path.name}: there is no file {path}, and the profiles are {', '.join(NAMES)}."
        ) from fault
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise Failed(f"{path} cannot be read as CSV: {fault}") from fault


def _unit(number: str) -> float:
    """Of the last decimal: 0.001 of 0.333."""
    decimals = re.fullmatch(r"\s*[-+]?\d*\.(\d+)\s*", number)
    return 10.0 ** -len(decimals[1]) if decimals else 1.0


def _hint(*cells: str | None) -> str:
    """How to write numbers with a comma; where it may be of thousands, that is said, too."""
    cell = next((cell.strip() for cell in cells if cell and "," in cell), "")
    if re.fullmatch(r"[-+]?[1-9]\d{0,2},\d{3}", cell):
        return f"; for {cell} write {cell.replace(',', '')}, or {cell.replace(',', '.')} if the comma is a decimal one"
    if re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?", cell):
        return f"; write {cell.replace(',', '')} for {cell}"
    if re.fullmatch(r"[-+]?[\d.]*,\d+", cell):
        return f"; write {cell.replace('.', '').replace(',', '.')} for {cell}"
    return ""


def _uneven(points: Sequence[_Point]) -> str:
    """The first step that is unlike the others, in words; empty without one. Steps of rounded minutes differ by one in
    the last decimal, which a missing line never looks like."""
    steps = [late.minute - early.minute for early, late in itertools.pairwise(points)]
    usual, unit = statistics.median(steps), min(point.unit for point in points)
    allowed = max(_ROUNDING, min(unit / usual * (1 + _ROUNDING), _UNLIKE)) * usual if usual > 0 else 0.0
    for step, point in zip(steps, points[1:], strict=True):
        if step <= 0 or abs(step - usual) > allowed:
            return f"line {point.line}: minutes must rise in equal steps; here by {step:g}, in the median by {usual:g}"
    return ""
