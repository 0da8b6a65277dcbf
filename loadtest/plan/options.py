"""The options of `./kiln plan`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..processes import Failed
from . import arithmetic, profiles

_P99, _MEAN = 300.0, 0.3


@dataclass(frozen=True)
class Instance:
    """A type of machine and its prices a month."""

    name: str
    cores: int
    reserved: float
    on_demand: float

    def warnings(self) -> tuple[str, ...]:
        """What is unlikely about its prices."""
        if self.on_demand >= self.reserved:
            return ()
        return (
            f"--instance {self.name}: on demand {self.on_demand:g} is cheaper than reserved {self.reserved:g}. "
            "Are they swapped? The order is NAME:CORES:RESERVED:ON_DEMAND.",
        )


def read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Raises Failed, with every problem, where options do not go together."""
    options = parser().parse_args(arguments)
    problems = []
    if options.base is not None and not options.serverless:
        problems.append("--base is a part of --serverless, which is missing")
    if options.mean is not None and options.profile not in profiles.WITH_MEAN:
        problems.append(f"--mean is for {' and '.join(profiles.WITH_MEAN)}; {options.profile} has its own")
    if options.p99 is not None and not options.report:
        problems.append("--p99 is looked up in a --report; --capacity says what a machine manages within it")
    if options.profile in profiles.NAMES and options.peak is None:
        problems.append("--peak is needed: requests a second at the busiest moment")
    if problems:
        raise Failed(f"{'; '.join(problems)}.")
    options.p99 = _P99 if options.p99 is None else options.p99
    options.mean = _MEAN if options.mean is None else options.mean
    return options


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kiln plan", description="Machines, scale-out level and cost a month for a load.", allow_abbrev=False
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--report", metavar="FILE", help="report.json of ./kiln load, for what one machine manages")
    source.add_argument("--capacity", type=_positive, metavar="RATE", help="or requests a second of one machine")
    parser.add_argument("--p99", type=_positive, metavar="MS", help="target of p99 (default: 300)")
    parser.add_argument("--peak", type=_positive, metavar="RATE", help="requests a second at the busiest moment")
    parser.add_argument(
        "--profile", default="day", metavar="NAME", help="constant, day, spikes, or a CSV of minute,rate (default: day)"
    )
    parser.add_argument(
        "--mean", type=_positive, metavar="PART", help="mean of day and spikes, as a part of the peak (default: 0.3)"
    )
    parser.add_argument(
        "--instance",
        type=_instance,
        required=True,
        metavar="NAME:CORES:RESERVED[:ON_DEMAND]",
        help="machine with its prices a month, reserved and, where it differs, on demand",
    )
    parser.add_argument("--min", type=_count, default=2, metavar="N", help="machines that always run (default: 2)")
    parser.add_argument(
        "--ready",
        type=_positive,
        default=3.0,
        metavar="MINUTES",
        help="from alarm to a machine that answers (default: 3)",
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
    parser.add_argument("--json", metavar="FILE", help="write the plan there, too")
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
        raise argparse.ArgumentTypeError("NAME:CORES:RESERVED or NAME:CORES:RESERVED:ON_DEMAND is needed")
    cores, reserved = _count(parts[1]), _price(parts[2])
    if not cores:
        raise argparse.ArgumentTypeError("a machine has at least one core")
    return Instance(parts[0], cores, reserved, _price(parts[3]) if len(parts) == 4 else reserved)
