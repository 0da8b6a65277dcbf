"""Which ways hold under a load. A way that does not is priced all the same, marked, and never recommended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import arithmetic
from .arithmetic import Moment, Shortfall, Way


@dataclass(frozen=True)
class Fleet:
    """What machines must hold. capacity: of one machine. ready: minutes from when one is wanted until it answers."""

    load: Sequence[Moment]
    capacity: float
    ready: float
    least: int
    whole: bool


@dataclass(frozen=True)
class Verdict:
    """A way, and why it does not hold: a short name of each fault -> the worst moment, in words."""

    way: Way
    faults: dict[str, str]


def judge(way: Way, fleet: Fleet) -> Verdict:
    """Of a way with machines."""
    if way.level is None:
        peak = max(moment.rate for moment in fleet.load)
        return Verdict(way, _faults(fleet, None, arithmetic.one_lost_always_on(way, [peak], fleet.capacity)))
    return Verdict(way, at_level(way.level, fleet))


def at_level(level: float, fleet: Fleet) -> dict[str, str]:
    """The faults of scaling out at a level."""
    late = arithmetic.too_late(fleet.load, fleet.capacity, level, least=fleet.least, whole=fleet.whole)
    lost = arithmetic.one_lost(fleet.load, fleet.capacity, level, least=fleet.least, whole=fleet.whole)
    return _faults(fleet, late, lost)


def _faults(fleet: Fleet, late: Shortfall | None, lost: Shortfall | None) -> dict[str, str]:
    found = {}
    if late:
        found["too late"] = (
            f"the load is at {late.rate:,.0f} requests a second when the machines that were wanted {fleet.ready:g} "
            f"minutes before, {_count(late.machines)}, manage {late.machines * fleet.capacity:,.0f}"
        )
    if lost:
        found["no reserve"] = (
            f"at {lost.rate:,.0f} requests a second the machines that are left when one fails, "
            f"{_count(lost.machines)}, manage {lost.machines * fleet.capacity:,.0f}"
        )
    return found


def _count(machines: float) -> str:
    return f"{machines:,.2f}".rstrip("0").rstrip(".")


def cheapest(verdicts: Sequence[Verdict]) -> Verdict | None:
    """Of those that hold."""
    return min((one for one in verdicts if not one.faults), key=lambda one: one.way.a_month, default=None)
