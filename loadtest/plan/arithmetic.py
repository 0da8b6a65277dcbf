"""The arithmetic of capacity and cost. docs/capacity.md explains it; nothing here reads or prints anything.

Words and units:
    rate      requests a second
    capacity  the rate that one machine answers with its p99 within the target
    worth     a rate in machines: rate / capacity. Three machines' worth keep three machines fully used
    level     the part of a machine's capacity at which another machine is added, above 0 and at most 1
    price     of one machine, a month
A profile's rates are of equally long steps of time, so that a mean over them is a mean over time.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

SMALLEST, LARGEST = 1e-9, 1e12  # numbers above 0 between which every quotient and sum here is finite
_ROUNDING = 1e-9  # of a machine: 3.0000000001 machines' worth are three


@dataclass(frozen=True)
class Prices:
    """Prices a month of one machine: `reserved` for one that always runs, `on_demand` for one added for a while; of
    the load balancer; and of one machine's worth of serverless compute, provisioned (`base`) and paid by use (`use`).
    """

    reserved: float
    on_demand: float
    balancer: float = 0.0
    base: float | None = None
    use: float | None = None


@dataclass(frozen=True)
class Way:
    """One way to run a load. machines: running in the mean. a month: what it costs."""

    name: str
    machines: float
    a_month: float


def machines_for(rate: float, capacity: float, level: float = 1.0, *, least: int = 0, whole: bool = True) -> float:
    """Machines that keep a rate at or below `level`, never fewer than `least`.

        max(least, rate / (capacity x level)), rounded up when whole

    Parts of a machine (whole=False) are for the means of long times, as published comparisons take them.
    """
    worth = rate / (capacity * level)
    return max(least, math.ceil(worth - _ROUNDING) if whole else worth)


def mean_use(rates: Sequence[float], capacity: float) -> float:
    """Machines' worth of compute that a profile uses in the mean."""
    return statistics.fmean(rates) / capacity


def always_on(rates: Sequence[float], capacity: float, prices: Prices, *, least: int = 0, whole: bool = True) -> Way:
    """As many machines as the peak takes, all the time.

    machines(peak) x reserved + balancer
    """
    machines = machines_for(max(rates), capacity, least=least, whole=whole)
    return Way("always on at peak", machines, machines * prices.reserved + prices.balancer)


def autoscaled(
    rates: Sequence[float],
    capacity: float,
    level: float,
    prices: Prices,
    *,
    least: int = 0,
    whole: bool = True,
    name: str = "autoscaled",
) -> Way:
    """Machines are added at `level`. The least that ever run are reserved, the others paid on demand.

    steady x reserved + mean(machines - steady) x on_demand + balancer,   steady = min(machines)
    """
    running = [machines_for(rate, capacity, level, least=least, whole=whole) for rate in rates]
    steady, mean = min(running), statistics.fmean(running)
    cost = steady * prices.reserved + (mean - steady) * prices.on_demand + prices.balancer
    return Way(f"{name}, at {level:.0%}", mean, cost)


def serverless_cost(provisioned: float, used: float, base: float, use: float) -> float:
    """provisioned x base + used x use: machines' worth that are held ready, and those used beyond them."""
    return provisioned * base + used * use


def beyond(rates: Sequence[float], capacity: float, provisioned: float) -> float:
    """Machines' worth of compute, in the mean, above what is provisioned: mean(max(0, worth - provisioned))."""
    return statistics.fmean(max(0.0, rate / capacity - provisioned) for rate in rates)


def cheapest_base(rates: Sequence[float], capacity: float, base: float, use: float) -> float:
    """The machines' worth to provision that make the mix cheapest.

    The cost is a convex line with corners at the profile's own rates, so the lowest is at one of them or at 0.
    """
    corners = sorted({0.0, *(rate / capacity for rate in rates)})
    return min(corners, key=lambda held: serverless_cost(held, beyond(rates, capacity, held), base, use))


def serverless(rates: Sequence[float], capacity: float, prices: Prices, provisioned: float | None = None) -> Way:
    """A provisioned base and the rest paid by use, without machines or a load balancer. provisioned: machines' worth;
    the cheapest without it. Raises ValueError without its prices."""
    if prices.base is None or prices.use is None:
        raise ValueError("Serverless needs its two prices.")
    held = cheapest_base(rates, capacity, prices.base, prices.use) if provisioned is None else provisioned
    used = beyond(rates, capacity, held)
    cost = serverless_cost(held, used, prices.base, prices.use)
    return Way(f"serverless, {held:.1f} provisioned", held + used, cost)


def scale_out_level(cpu: float, rise: float, minutes: float) -> float:
    """The CPU share at which to add a machine, so that it is there before the others are full.

        cpu / (1 + rise x minutes)

    cpu: CPU share of a machine at its capacity. rise: how fast the load grows at most, in parts of itself a minute.
    minutes: from the alarm until a new machine answers.
    """
    return cpu / (1 + rise * minutes)


def fastest_rise(rates: Sequence[float], step_minutes: float) -> float:
    """How fast a profile, which repeats itself, grows at most, in parts of its mean a minute."""
    before = [rates[-1], *rates[:-1]]
    steepest = max((late - early for early, late in zip(before, rates, strict=True)), default=0.0)
    return max(0.0, steepest) / step_minutes / statistics.fmean(rates)
