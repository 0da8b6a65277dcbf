"""The command line of `./kiln plan`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .. import outputs
from ..processes import Failed
from . import arithmetic, measured, options, plot, profiles, verdicts
from .arithmetic import Prices, Way
from .profiles import Profile
from .verdicts import Fleet, Verdict

_LATENCY, _COST = (0.5,), (0.7, 0.8)  # levels at which machines are added


def main(arguments: Sequence[str] | None = None) -> int:
    """Work out, print, draw. Exit status 1 says that there is no such plan."""
    try:
        _plan(options.read(arguments))
    except Failed as failed:
        Console(stderr=True).print(f"kiln: {failed}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


def _plan(asked: argparse.Namespace) -> None:
    asked.plot = asked.plot and plot.named(asked.plot)
    outputs.check([_path(file) for file in (asked.plot, asked.json) if file])
    profile = _profile(asked)
    if asked.report:
        found = measured.read(_path(asked.report), asked.p99)
        capacity, cpu, bound = found.rate * asked.instance.cores / found.cores, found.cpu, found.bound
        warnings = [f"The report warns: {warning}" for warning in found.warnings]
        warnings += [bound] if bound else []
    else:
        capacity, cpu, bound, warnings = asked.capacity, None, "", []
    warnings += asked.instance.warnings()

    load = arithmetic.moments(profile.rates, profile.minutes, asked.ready)
    fleet = Fleet(load, capacity, asked.ready, asked.min, not asked.fractional)
    level = arithmetic.scale_out_level(load, capacity, least=fleet.least, whole=fleet.whole)
    judged = _ways(asked, profile.rates, fleet, level)
    facts = _facts(asked, profile, fleet, level, cpu, lower_bound=bool(bound))

    # Files first, so that nothing is printed where they cannot be written.
    if asked.plot:
        plot.draw(_path(asked.plot), profile, _running(judged, profile, fleet), judged)
    if asked.json:
        _write(_path(asked.json), _document(facts, judged, fleet, level, cpu, warnings, lower_bound=bool(bound)))

    console = Console(highlight=False)
    for warning in warnings:
        console.print(warning, style="yellow", markup=False)
    console.print(_grid(facts))
    console.print("A month; % is of capacity, beside it the CPU share; costs as a share of the first", style="bold")
    console.print(_table(judged, cpu))
    for one in judged:
        for fault, why in one.faults.items():
            console.print(f"{one.way.name}: {fault}: {why}.", markup=False)
    for line in _advice(judged):
        console.print(line, markup=False)
    for file in filter(None, (asked.plot, asked.json)):
        console.print(f"Written: {file}", markup=False)


def _profile(asked: argparse.Namespace) -> Profile:
    if asked.profile in profiles.NAMES:
        return profiles.shaped(asked.profile, asked.peak, asked.mean)
    return profiles.from_csv(_path(asked.profile), asked.peak)


def _ways(asked: argparse.Namespace, rates: Sequence[float], fleet: Fleet, advised: float | None) -> list[Verdict]:
    instance: options.Instance = asked.instance
    base, use = asked.serverless or (None, None)
    prices = Prices(instance.reserved, instance.on_demand, asked.balancer, base, use)
    counted: dict[str, Any] = {"least": fleet.least, "whole": fleet.whole}
    levels = [("latency-sensitive", level) for level in _LATENCY] + [("cost-sensitive", level) for level in _COST]
    if advised is not None and advised not in (*_LATENCY, *_COST):
        levels.append(("as advised", advised))
    ways = [arithmetic.always_on(rates, fleet.capacity, prices, spare=spare, **counted) for spare in (0, 1)]
    for name, level in levels:
        ways.append(arithmetic.autoscaled(rates, fleet.capacity, level, prices, name=name, **counted))
    judged = [verdicts.judge(way, fleet) for way in ways]
    if asked.serverless:
        judged.append(Verdict(arithmetic.serverless(rates, fleet.capacity, prices, asked.base), {}))
    return judged


def _running(judged: Sequence[Verdict], profile: Profile, fleet: Fleet) -> dict[str, list[float]]:
    """Machines in each step of the profile, by way; for those that scale, and always on at peak."""
    running = {judged[0].way.name: [judged[0].way.machines] * len(profile.rates)}
    for way in (one.way for one in judged if one.way.level is not None):
        running[way.name] = [
            arithmetic.machines_for(rate, fleet.capacity, way.level, least=fleet.least, whole=fleet.whole)
            for rate in profile.rates
        ]
    return running


def _facts(
    asked: argparse.Namespace,
    profile: Profile,
    fleet: Fleet,
    level: float | None,
    cpu: float | None,
    *,
    lower_bound: bool,
) -> dict[str, str]:
    peak, capacity = max(profile.rates), fleet.capacity
    source = f"p99 within {asked.p99:g} ms" if asked.report else "as given"
    nodes = arithmetic.machines_for(peak, capacity, least=fleet.least)
    least = "at least " if lower_bound else ""
    fewer = "; fewer may do" if lower_bound and nodes > fleet.least else ""
    use = arithmetic.mean_use(profile.rates, capacity)
    return {
        f"One {asked.instance.name}": f"{least}{capacity:,.0f} requests a second, {source}",
        "Machines at peak": f"{nodes:,.0f} for {peak:,.0f} requests a second, at least {fleet.least}{fewer}",
        "Mean use": f"{use:.2f} machines' worth, {use * capacity / peak:.0%} of the peak",
        "Scale out": _scale_out(asked, fleet, level, cpu, lower_bound=lower_bound),
    }


def _scale_out(
    asked: argparse.Namespace, fleet: Fleet, level: float | None, cpu: float | None, *, lower_bound: bool
) -> str:
    if level is None:
        faults = verdicts.at_level(0.01, fleet)
        return (
            f"at no level: even at 1% of capacity, {'; '.join(f'{name}: {why}' for name, why in faults.items())}. "
            "Keep more running: --min"
        )
    if cpu is None:
        missing = "the report has no CPU of the server" if asked.report else "there is no --report"
        share = f"CPU unknown: {missing}; run ./kiln load on the server's machine"
    else:
        measured_at = "the highest rate that was measured" if lower_bound else "capacity"
        share = f"{level * cpu:.0%} CPU; {measured_at} is at {cpu:.0%}"
    return (
        f"at {level:.0%} of capacity at the latest ({share}), so that machines that come {asked.ready:g} minutes "
        "later are in time, and one may fail"
    )


def _grid(facts: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, fact in facts.items():
        table.add_row(escape(name), escape(fact))
    return table


def _table(judged: Sequence[Verdict], cpu: float | None) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("")
    for column in ("CPU", "machines", "cost", "share"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("holds", no_wrap=True)
    first = judged[0].way.a_month
    for one in judged:
        way = one.way
        level = f"{way.level * cpu:.0%}" if way.level is not None and cpu is not None else ""
        share = f"{way.a_month / first:.0%}" if first else ""
        holds = ",\n".join(one.faults) or "yes"
        style = "dim" if one.faults else None
        table.add_row(way.name, level, f"{way.machines:,.2f}", f"{way.a_month:,.2f}", share, holds, style=style)
    return table


def _advice(judged: Sequence[Verdict]) -> list[str]:
    lines = []
    best = verdicts.cheapest(judged)
    with_machines = verdicts.cheapest([one for one in judged if not one.way.serverless])
    if best is not None:
        lines.append(f"Cheapest that holds: {_cost(best.way)}")
        if with_machines is not None and with_machines is not best:
            lines[0] += f" (its cold starts are not counted); with machines: {_cost(with_machines.way)}"
        lines[0] += "."
    lines.append("Costs take machines to be there when they are wanted; whether they can be is what 'holds' says.")
    return lines


def _cost(way: Way) -> str:
    return f"{way.name}, {way.a_month:,.2f}"


def _document(
    facts: dict[str, str],
    judged: Sequence[Verdict],
    fleet: Fleet,
    level: float | None,
    cpu: float | None,
    warnings: Sequence[str],
    *,
    lower_bound: bool,
) -> dict[str, Any]:
    best = verdicts.cheapest(judged)
    return {
        "facts": facts,
        "warnings": list(warnings),
        "capacity": fleet.capacity,
        "capacity_is_a_lower_bound": lower_bound,
        "cpu_at_capacity": cpu,
        "scale_out_level": level,
        "ways": [
            {
                "name": one.way.name,
                "level": one.way.level,
                "machines": one.way.machines,
                "a_month": one.way.a_month,
                "holds": not one.faults,
                "faults": one.faults,
            }
            for one in judged
        ],
        "cheapest_that_holds": best.way.name if best else None,
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(document, indent=1) + "\n")
    except OSError as fault:
        raise Failed(f"--json {path}: {fault}") from fault


def _path(text: str) -> Path:
    """From where the caller of the launcher stands, which starts this in the project's folder."""
    return Path(os.environ.get("KILN_CWD", "."), text)


if __name__ == "__main__":
    sys.exit(main())
