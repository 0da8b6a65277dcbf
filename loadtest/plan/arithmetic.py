"""The arithmetic of capacity and cost. docs/capacity.md explains it; nothing here reads or prints anything.

Words and units:
    rate      requests a second
    capacity  the rate that one machine answers with its p99 within the target
    worth     a rate in machines: rate / capacity. Three machines' worth keep three machines fully used
    level     the part of a machine's capacity at which another machine is added, above 0 and at most 1. As a CPU share
              it is level x the CPU share at capacity
    price     of one machine, a month
A profile's rates are of equally long steps of time, so that a mean over them is a mean over time.
"""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SMALLEST, LARGEST = 1e-9, 1e12  # numbers above 0 between which every quotient and sum here is finite
CEILING = 0.8  # level: a mean over minutes hides seconds that are busier, and two machines of a type are not alike
_ROUNDING = 1e-9  # of a machine: 3.0000000001 machines' worth are three
_MOMENTS = 50_000  # looked at in a profile, about


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
    """One way to run a load. machines: running in the mean. a month: what it costs. level: where it scales out, None
    where it does not. serverless: without machines."""

    name: str
    machines: float
    a_month: float
    level: float | None = None
    serverless: bool = False


@dataclass(frozen=True)
class Moment:
    """A moment of a profile. rate: then. before: the rate when machines that are new at this moment were wanted."""

    rate: float
    before: float


@dataclass(frozen=True)
class Shortfall:
    """A rate above what the machines that are there manage with p99 within the target."""

    rate: float
    machines: float


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


def always_on(
    rates: Sequence[float], capacity: float, prices: Prices, *, least: int = 0, whole: bool = True, spare: int = 0
) -> Way:
    """As many machines as the peak takes, and `spare` more, all the time.

    (machines(peak) + spare) x reserved + balancer
    """
    machines = machines_for(max(rates), capacity, least=least, whole=whole) + spare
    name = f"always on, {spare} to spare" if spare else "always on at peak"
    return Way(name, machines, machines * prices.reserved + prices.balancer)


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
    return Way(f"{name}, at {level:.0%}", mean, cost, level)


def serverless_cost(provisioned: float, used: float, base: float, use: float) -> float:
    """provisioned x base + used x use: machines' worth that are held ready, and those used beyond them."""
    return provisioned * base + used * use


def beyond(rates: Sequence[float], capacity: float, provisioned: float) -> float:
    """Machines' worth of compute, in the mean, above what is provisioned: mean(max(0, worth - provisioned))."""
    return statistics.fmean(max(0.0, rate / capacity - provisioned) for rate in rates)


def cheapest_base(rates: Sequence[float], capacity: float, base: float, use: float) -> float:
    """The machines' worth to provision that make the mix cheapest.

    The cost is a convex line with corners at 0 and at the profile's own rates. It falls as long as the compute that a
    bit more of base spares, paid by use for the part of the time that needs it, costs more than the base:
    use x share(worth > held) > base. The lowest is where it no longer falls.
    """
    worths = sorted(rate / capacity for rate in rates)

    def falls(held: float) -> bool:
        return use * (len(worths) - bisect.bisect_right(worths, held)) / len(worths) > base

    corners = [0.0, *worths]
    return corners[bisect.bisect_left(corners, True, key=lambda held: not falls(held))]


def serverless(rates: Sequence[float], capacity: float, prices: Prices, provisioned: float | None = None) -> Way:
    """A provisioned base and the rest paid by use, without machines or a load balancer. provisioned: machines' worth;
    the cheapest without it. Raises ValueError without its prices."""
    if prices.base is None or prices.use is None:
        raise ValueError("Serverless needs its two prices.")
    held = cheapest_base(rates, capacity, prices.base, prices.use) if provisioned is None else provisioned
    used = beyond(rates, capacity, held)
    cost = serverless_cost(held, used, prices.base, prices.use)
    return Way(f"serverless, {held:.1f} provisioned", held + used, cost, serverless=True)


def moments(rates: Sequence[float], step_minutes: float, ready: float) -> list[Moment]:
    """Moments all over a profile, which repeats itself. ready: minutes from when a machine is wanted until it answers.

    Between two steps the rate is taken to change evenly. The steps themselves and what is `ready` after them are among
    the moments: a load that starts to rise is worst there.
    """
    parts = math.ceil(4 * max(1.0, step_minutes / ready))
    parts = max(1, min(parts, _MOMENTS // len(rates)))
    within = sorted({*(part / parts for part in range(parts)), ready / step_minutes % 1})
    delay = ready / step_minutes
    times = (step + part for step in range(len(rates)) for part in within)
    return [Moment(_rate_at(rates, time), _rate_at(rates, time - delay)) for time in times]


def _rate_at(rates: Sequence[float], steps: float) -> float:
    step = math.floor(steps)
    early, late = rates[step % len(rates)], rates[(step + 1) % len(rates)]
    return early + (steps - step) * (late - early)


def too_late(
    load: Sequence[Moment], capacity: float, level: float, *, least: int = 0, whole: bool = True
) -> Shortfall | None:
    """The worst moment at which the machines that were wanted in time do not manage the load; None without one.

    rate > machines(before, level) x capacity
    """
    there = ((now.rate, machines_for(now.before, capacity, level, least=least, whole=whole)) for now in load)
    return _worst(there, capacity)


def one_lost(
    load: Sequence[Moment], capacity: float, level: float, *, least: int = 0, whole: bool = True
) -> Shortfall | None:
    """The worst moment at which one machine less than is wanted does not manage the load; None without one.

    rate > (machines(rate, level) - 1) x capacity
    """
    left = ((now.rate, machines_for(now.rate, capacity, level, least=least, whole=whole) - 1) for now in load)
    return _worst(left, capacity)


def one_lost_always_on(way: Way, rates: Sequence[float], capacity: float) -> Shortfall | None:
    """`one_lost` of machines that always run."""
    return _worst([(max(rates), way.machines - 1)], capacity)


def _worst(there: Iterable[tuple[float, float]], capacity: float) -> Shortfall | None:
    """there: rates and the machines that are there for them."""
    rate, machines = max(there, key=lambda pair: pair[0] / capacity - max(0.0, pair[1]))
    machines = max(0.0, machines)
    return Shortfall(rate, machines) if rate / capacity - machines > _ROUNDING else None


def scale_out_level(load: Sequence[Moment], capacity: float, *, least: int = 0, whole: bool = True) -> float | None:
    """The highest level, in whole percents and at most CEILING, at which machines are neither `too_late` nor too few
    with `one_lost`. None where no level is."""

    def fails(percent: int) -> bool:
        level = percent / 100
        return bool(
            too_late(load, capacity, level, least=least, whole=whole)
            or one_lost(load, capacity, level, least=least, whole=whole)
        )

    # A lower level never has fewer machines: what holds at one holds at all below it.
    percent = bisect.bisect_left(range(1, round(CEILING * 100) + 1), True, key=fails)
    return percent / 100 if percent else None
