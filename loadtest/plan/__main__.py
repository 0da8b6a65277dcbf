"""The command line of `./kiln plan`."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..processes import Failed
from . import arithmetic, measured, plot, profiles
from .arithmetic import Prices, Way
from .profiles import Profile

_LATENCY, _COST = (0.5,), (0.7, 0.8)  # levels at which machines are added


@dataclass(frozen=True)
class Instance:
    """A type of machine and its prices a month."""

    name: str
    cores: int
    reserved: float
    on_demand: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Work out, print, draw. Exit status 1 says that there is no such plan."""
    options = _parser().parse_args(arguments)
    try:
        _plan(options)
    except Failed as failed:
        Console(stderr=True).print(f"kiln: {failed}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


def _plan(options: argparse.Namespace) -> None:
    instance: Instance = options.instance
    profile = _profile(options)
    if options.report:
        found = measured.read(_path(options.report), options.p99)
        capacity, cpu, warnings = found.rate * instance.cores / found.cores, found.cpu, found.warnings
    else:
        capacity, cpu, warnings = options.capacity, 1.0, ()
    base, use = options.serverless or (None, None)
    prices = Prices(instance.reserved, instance.on_demand, options.balancer, base, use)
    whole, least = not options.fractional, options.min

    ways = [arithmetic.always_on(profile.rates, capacity, prices, least=least, whole=whole)]
    for name, levels in (("latency-sensitive", _LATENCY), ("cost-sensitive", _COST)):
        for level in levels:
            way = arithmetic.autoscaled(profile.rates, capacity, level, prices, least=least, whole=whole, name=name)
            ways.append(way)
    if options.serverless:
        ways.append(arithmetic.serverless(profile.rates, capacity, prices, options.base))

    if options.plot:  # first, so that nothing is printed where it cannot be drawn
        machines = {"always on at peak": [ways[0].machines] * len(profile.rates)}
        for level in (*_LATENCY, *_COST):
            running = [
                arithmetic.machines_for(rate, capacity, level, least=least, whole=whole) for rate in profile.rates
            ]
            machines[f"autoscaled, at {level:.0%}"] = running
        plot.draw(_path(options.plot), profile, machines, ways)

    console = Console()
    for warning in warnings:
        console.print(f"The report warns: {warning}", style="yellow", markup=False, highlight=False)
    _say(console, options, profile, capacity, cpu)
    console.print(_table(ways))
    if options.plot:
        console.print(f"Drawn: {options.plot}", markup=False)


def _profile(options: argparse.Namespace) -> Profile:
    if options.profile in profiles.NAMES:
        if options.peak is None:
            raise Failed("--peak is needed: requests a second at the busiest moment.")
        return profiles.shaped(options.profile, options.peak, options.mean)
    return profiles.from_csv(_path(options.profile), options.peak)


def _say(console: Console, options: argparse.Namespace, profile: Profile, capacity: float, cpu: float | None) -> None:
    instance: Instance = options.instance
    peak = max(profile.rates)
    table = Table.grid(padding=(0, 2))
    source = f"p99 within {options.p99:g} ms" if options.report else "as given"
    table.add_row(f"One {escape(instance.name)}", f"{capacity:,.0f} requests a second, {source}")
    nodes = arithmetic.machines_for(peak, capacity, least=options.min)
    table.add_row("Machines at peak", f"{nodes:,.0f} for {peak:,.0f} requests a second, at least {options.min}")
    use = arithmetic.mean_use(profile.rates, capacity)
    table.add_row("Mean use", f"{use:.2f} machines' worth, {use * capacity / peak:.0%} of the peak")
    rise = arithmetic.fastest_rise(profile.rates, profile.minutes)
    if cpu is None:
        level = "unknown: the report has no CPU of the server; run ./kiln load on the server's machine"
    else:
        share = arithmetic.scale_out_level(cpu, rise, options.ready)
        level = (
            f"at {share:.0%} CPU at the latest: {cpu:.0%} where p99 is at its target, "
            f"a load that grows by {rise:.1%} a minute, {options.ready:g} minutes until a machine answers"
        )
    table.add_row("Scale out", level)
    console.print(table)


def _table(ways: Sequence[Way]) -> Table:
    table = Table(title="A month", title_justify="left", title_style="bold")
    for column in ("", "machines in the mean", "cost", "of always on"):
        table.add_column(column, justify="right" if column else "left")
    for way in ways:
        share = f"{way.a_month / ways[0].a_month:.0%}" if ways[0].a_month else ""
        table.add_row(way.name, f"{way.machines:,.2f}", f"{way.a_month:,.2f}", share)
    return table


def _path(text: str) -> Path:
    """From where the caller of the launcher stands, which starts this in the project's folder."""
    return Path(os.environ.get("KILN_CWD", "."), text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kiln plan", description="Machines, scale-out level and cost a month for a load.", allow_abbrev=False
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--report", metavar="FILE", help="report.json of ./kiln load, for what one machine manages")
    source.add_argument("--capacity", type=_positive, metavar="RATE", help="or requests a second of one machine")
    parser.add_argument("--p99", type=_positive, default=300.0, metavar="MS", help="target of p99 (default: 300)")
    parser.add_argument("--peak", type=_positive, metavar="RATE", help="requests a second at the busiest moment")
    parser.add_argument(
        "--profile", default="day", metavar="NAME", help="constant, day, spikes, or a CSV of minute,rate (default: day)"
    )
    parser.add_argument(
        "--mean", type=_positive, default=0.3, metavar="PART", help="mean rate, as a part of the peak (default: 0.3)"
    )
    parser.add_argument(
        "--instance",
        type=_instance,
        required=True,
        metavar="NAME:CORES:PRICE[:ON_DEMAND]",
        help="machine with its prices a month, reserved and, where it differs, on demand",
    )
    parser.add_argument("--min", type=_count, default=2, metavar="N", help="machines that always run (default: 2)")
    parser.add_argument(
        "--ready", type=_positive, default=3.0, metavar="MINUTES", help="until a new machine answers (default: 3)"
    )
    parser.add_argument("--balancer", type=_price, default=0.0, metavar="PRICE", help="load balancer, a month")
    parser.add_argument(
        "--serverless",
        type=_two_prices,
        metavar="BASE:USE",
        help="price a month of one machine's worth, provisioned and paid by use",
    )
    parser.add_argument(
        "--base", type=_price, metavar="N", help="machines' worth of serverless to provision (default: the cheapest)"
    )
    parser.add_argument(
        "--fractional", action="store_true", help="count parts of machines, as comparisons of long means do"
    )
    parser.add_argument("--plot", metavar="FILE", help="draw machines and costs there, as PNG")
    return parser


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not abs(number) <= arithmetic.LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number up to {arithmetic.LARGEST:g}")
    return number


def _positive(text: str) -> float:
    if (number := _number(text)) < arithmetic.SMALLEST:
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, {arithmetic.SMALLEST:g} or more")
    return number


def _price(text: str) -> float:
    if (number := _number(text)) < 0:
        raise argparse.ArgumentTypeError("a number from 0 on is needed")
    return number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and _number(text) >= 0):
        raise argparse.ArgumentTypeError("a whole number from 0 on is needed")
    return int(text)


def _two_prices(text: str) -> tuple[float, float]:
    base, mark, use = text.partition(":")
    if not mark:
        raise argparse.ArgumentTypeError("two prices are needed, as 246.27:892.8")
    return _price(base), _price(use)


def _instance(text: str) -> Instance:
    parts = text.split(":")
    if len(parts) not in (3, 4) or not parts[0]:
        raise argparse.ArgumentTypeError("NAME:CORES:PRICE or NAME:CORES:PRICE:ON_DEMAND is needed")
    cores, reserved = _count(parts[1]), _price(parts[2])
    if not cores:
        raise argparse.ArgumentTypeError("a machine has at least one core")
    return Instance(parts[0], cores, reserved, _price(parts[3]) if len(parts) == 4 else reserved)


if __name__ == "__main__":
    sys.exit(main())
