"""What one machine manages, read from a report of `./kiln load`."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..load.format import FORMAT, VERSION
from ..processes import Failed
from .arithmetic import LARGEST, SMALLEST

_LEAST_CPU = 0.005  # of all cores, at what a machine can answer
_STEPS = 5  # numbers of users that are proposed, each twice the one before


@dataclass(frozen=True)
class Measured:
    """rate: requests a second with p99 within the target. cpu: share of all cores at that rate, None where it was not
    measured. cores: of the machine that was measured. warnings: what the report says against itself. bound: why `rate`
    is a lower bound and how to measure further, in words; empty where p99 was measured up to its target."""

    rate: float
    cpu: float | None
    cores: int
    warnings: tuple[str, ...] = ()
    bound: str = ""


def read(path: Path, p99_ms: float) -> Measured:
    """Raises Failed where the file is no report of this version, or where no point on it meets the target."""
    report = _load(path)
    try:
        points = sorted(map(_checked, report["points"]), key=lambda point: point["users"])
        cores = int(_number(report["cores"], 1))
        return _within(points, p99_ms, cores, tuple(map(str, report["warnings"])))
    except (KeyError, TypeError, ValueError) as fault:
        raise Failed(f"{path} is damaged: {fault!r}. Make it anew: ./kiln load --output DIR") from fault


def _checked(point: dict[str, Any]) -> dict[str, Any]:
    """The point. Raises ValueError, KeyError or TypeError where a number of it is none that can be measured."""
    _number(point["users"], 1)
    if point["p99_ms"]:
        _number(point["p99_ms"]["median"], SMALLEST)
        _number(point["per_second"]["median"], SMALLEST)
        "; ".join(point["faults"])
        if point["cpu"]:
            _number(point["cpu"]["median"], 0)
    return point


def _number(value: object, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= LARGEST:
        raise ValueError(f"{value!r} is no number from {least:g} to {LARGEST:g}")
    return value


def _load(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError) as fault:
        raise Failed(f"{path} cannot be read as a report: {fault}") from fault
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise Failed(f"{path} is no report of ./kiln load.")
    if report.get("version") != VERSION:
        raise Failed(
            f"{path} is a report of version {report.get('version')!r}; this one reads version {VERSION}. "
            "Make it anew: ./kiln load --output DIR"
        )
    return report


def _within(points: list[dict[str, Any]], p99_ms: float, cores: int, warnings: tuple[str, ...]) -> Measured:
    """The highest rate within the target. Between the last point that meets it and the next one that does not, rate
    and CPU are taken to change in proportion to p99."""
    points = [point for point in points if point["p99_ms"]]
    if not points:
        raise Failed("The report has no point with answers.")
    good = [point for point in points if point["p99_ms"]["median"] <= p99_ms and not point["faults"]]
    if not good:
        lowest = min(points, key=lambda point: point["p99_ms"]["median"])
        refused = [
            f"{_users(point['users'])}: {'; '.join(point['faults'])}"
            for point in points
            if point["p99_ms"]["median"] <= p99_ms
        ]
        if refused:
            raise Failed(f"Each point within --p99 {p99_ms:g} ms had faults, and does not count. {'. '.join(refused)}.")
        raise Failed(
            f"--p99 {p99_ms:g} ms cannot be met: the lowest measured is {lowest['p99_ms']['median']:.1f} ms, with "
            f"{_users(lowest['users'])}. More machines do not make one answer faster."
        )
    best = max(good, key=lambda point: point["per_second"]["median"])
    rate, cpu = best["per_second"]["median"], _cpu(best)
    for low, high in itertools.pairwise(points):
        if low is not best or high["faults"] or high["per_second"]["median"] <= rate:
            continue
        part = (p99_ms - low["p99_ms"]["median"]) / (high["p99_ms"]["median"] - low["p99_ms"]["median"])
        rate += part * (high["per_second"]["median"] - rate)
        after = _cpu(high)
        if cpu is not None and after is not None:
            cpu += part * (after - cpu)
    return Measured(rate, cpu, cores, warnings, _bound(points, p99_ms, best))


def _bound(points: list[dict[str, Any]], p99_ms: float, best: dict[str, Any]) -> str:
    """`Measured.bound`. Points with faults prove nothing: who answers with errors may well be quick."""
    if best["p99_ms"]["median"] == p99_ms:
        return ""
    later = [point for point in points if point["users"] > best["users"]]
    counting = [best, *(point for point in later if not point["faults"])]
    if any(point["p99_ms"]["median"] > p99_ms for point in counting):
        return ""
    last = counting[-1]
    users, found = last["users"], last["p99_ms"]["median"]
    text = (
        f"Capacity is a lower bound: the ladder ended at {_users(users)} with a p99 of {found:.3g} ms, before the "
        f"target of {p99_ms:g} ms was reached. One machine may manage more; machines and cost may be fewer. "
    )
    faulty = next((point for point in later if point["faults"] and point["users"] > users), None)
    if faulty:
        faults = "; ".join(faulty["faults"])
        return f"{text}{_users(faulty['users'])} had faults ({faults}): measure between with ./kiln load --users N,N,…"
    steps = [users]
    while len(steps) < _STEPS and steps[-1] * found < users * p99_ms:  # users wait in proportion, where all is busy
        steps.append(2 * steps[-1])
    return f"{text}Measure with more users: ./kiln load --users {','.join(map(str, steps))}"


def _users(count: int) -> str:
    return "1 user" if count == 1 else f"{count} users"


def _cpu(point: dict[str, Any]) -> float | None:
    """None also where it is next to nothing: what was watched was not the server."""
    cpu = float(point["cpu"]["median"]) if point["cpu"] else 0.0
    return cpu if cpu >= _LEAST_CPU else None
