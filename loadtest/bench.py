"""`./kiln bench`: what Kiln makes of this machine, against the bare model and against the well-known tutorial stack.

Everything is measured in one run and in turns, because only ratios taken side by side mean anything on a machine
that others use too. Exit status 1 says that a result is not valid; a goal that is missed does not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from . import dialects, forms, machine, memory, nginx, outputs, report, rounds, stages, starts, switches, wrk, zoo
from .figures import Goal, Spread, ratio, ratio_of_medians, steps
from .peers import command, known
from .processes import Failed, end_on_sigterm
from .rounds import Series

NAMES = (*rounds.NAMES, "start", "memory", "stages", "switches", "zoo", "forms", "dialects")
_POSTED = {"kiln", "nginx", "tutorial", "forms", "dialects"}  # by wrk
_WORKERS = (2, 3, 4)
_IMPOSSIBLE = 1.1  # of what the model alone manages; a little more than 1 for the noise


@dataclass
class Findings:
    """All that one run found; empty where it was not asked for."""

    series: dict[str, Series] = field(default_factory=dict)
    stages: dict[str, Spread] = field(default_factory=dict)
    starts: dict[str, Spread] = field(default_factory=dict)
    memory: dict[int, Spread] = field(default_factory=dict)
    switches: switches.Findings | None = None
    zoo: dict[str, zoo.Series] = field(default_factory=dict)
    forms: forms.Findings | None = None
    dialects: dialects.Findings | None = None

    def goals(self) -> list[Goal]:
        """Every goal that can be judged by what was measured."""
        found = []
        if (kiln := self.series.get("kiln")) and (bare := self.series.get("bare")):
            found.append(Goal("answers: Kiln / bare loop", _ratio(kiln, bare, "per_second"), 0.85, at_least=True))
            found.append(Goal("CPU time of an answer: bare loop / Kiln", _ratio(bare, kiln, "cpu_ms")))
        if (kiln := self.series.get("kiln")) and (proxied := self.series.get("nginx")):
            figure = _ratio(proxied, kiln, "per_second")
            found.append(Goal("answers: behind nginx / Kiln alone", figure, 0.92, at_least=True))
        if (kiln := self.series.get("kiln")) and (tutorial := self.series.get("tutorial")):
            figure = _ratio(kiln, tutorial, "per_second")
            found.append(Goal("answers: Kiln / tutorial stack", figure, 30, at_least=True, digits=1))
        if self.starts:
            found.append(Goal("start", self.starts["litert"], 1, unit=" s"))
            found.append(
                Goal("start: litert / keras", ratio_of_medians(self.starts["litert"], self.starts["keras"]), 0.1)
            )
        if self.memory:
            found.append(Goal("memory of 2 workers", self.memory[2], 120, unit=" MB", digits=0))
            more = Spread(tuple(steps([self.memory[workers].median for workers in _WORKERS])))
            found.append(Goal("memory of each further worker", more, 40, unit=" MB", digits=0))
        found += [goal for name, series in self.zoo.items() for goal in series.goals(name)]
        found += self.forms.goals() if self.forms else []
        found += self.dialects.goals() if self.dialects else []
        return found + (self.switches.goals() if self.switches else [])

    def faults(self) -> list[str]:
        """Why some of it must not be used."""
        every = {**self.series, **self.zoo}
        found = [f"{name} is not valid: {fault}" for name, series in every.items() for fault in series.faults]
        if (kiln := self.series.get("kiln")) and (bare := self.series.get("bare")):
            best = max(_ratio(kiln, bare, "per_second").values)
            if best > _IMPOSSIBLE:
                found.append(f"Kiln / bare loop is not valid: {best:.2f} in one round. Others took the machine.")
        found += self.forms.faults() if self.forms else []
        found += self.dialects.faults() if self.dialects else []
        if self.switches and (failures := self.switches.failures):
            found.append(f"{len(failures)} requests failed while versions switched: {failures[0]}")
        return found

    def to_json(self) -> dict[str, Any]:
        """Everything, with the values of every round."""
        return {
            "machine": machine.describe(),
            "goals": [goal.to_json() for goal in self.goals()],
            "faults": self.faults(),
            "throughput": {name: series.to_json() for name, series in self.series.items()},
            "stages_ms": {name: spread.to_json() for name, spread in self.stages.items()},
            "start_s": {engine: spread.to_json() for engine, spread in self.starts.items()},
            "memory_mb": {str(workers): spread.to_json() for workers, spread in self.memory.items()},
            "switches": self.switches.to_json() if self.switches else {},
            "zoo": {name: series.to_json() for name, series in self.zoo.items()},
            "forms": self.forms.to_json() if self.forms else {},
            "dialects": self.dialects.to_json() if self.dialects else {},
        }


def _ratio(above: Series, below: Series, name: str) -> Spread:
    return ratio(Spread(tuple(getattr(above, name))), Spread(tuple(getattr(below, name))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    options = _options(arguments)
    end_on_sigterm()
    console = Console()
    try:
        outputs.check((options.json, options.markdown))
        if options.peers is not None:
            return command.run(console, _wanted(options))
        report.machine(console, machine.describe(), machine.warning())
        findings = _measure(console, options.only, options.rounds, options.seconds)
        _show(console, findings)
        if options.json:
            outputs.write(options.json, json.dumps(findings.to_json(), indent=2) + "\n")
    except Failed as failed:
        console.print(str(failed), style="red", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped; everything that was started is ended.")
        return 130
    return 1 if findings.faults() else 0


def _show(console: Console, findings: Findings) -> None:
    report.findings(console, findings.series, findings.stages, findings.starts, findings.memory)
    report.zoo(console, findings.zoo)
    report.forms(console, findings.forms)
    report.dialects(console, findings.dialects)
    report.goals(console, findings.goals(), findings.faults())


def _measure(console: Console, names: Collection[str], count: int, seconds: int) -> Findings:
    findings, wanted = Findings(), set(names)
    if not wrk.available() and wanted & _POSTED:
        console.print("[yellow]wrk is not installed: kiln, nginx, tutorial, forms and dialects are left out.[/]")
        wanted -= _POSTED
    if nginx.program() is None and "nginx" in wanted:
        console.print("[yellow]nginx is not installed: Kiln behind it is left out.[/]")
        wanted -= {"nginx"}
    if not memory.available() and wanted & {"memory", "switches"}:
        console.print("[yellow]This system does not tell the PSS of a process: memory and switches are left out.[/]")
        wanted -= {"memory", "switches"}
    with console.status("") as status:
        if "stages" in wanted:
            status.update("decode and engine alone")
            findings.stages = stages.measure()
        if wanted & set(rounds.NAMES):
            findings.series = rounds.measure(wanted, count, seconds, status.update)
        if "start" in wanted:
            findings.starts = starts.measure(status.update)
        if "memory" in wanted:
            for workers in _WORKERS:
                status.update(f"memory of {workers} workers")
                findings.memory[workers] = Spread((memory.kiln(workers),))
        if "switches" in wanted:
            findings.switches = switches.measure(status.update)
        if "forms" in wanted:
            findings.forms = forms.measure(count, seconds, status.update)
        if "dialects" in wanted:
            findings.dialects = dialects.measure(count, seconds, status.update)
        if "zoo" in wanted:
            findings.zoo = zoo.measure(count, seconds, status.update)
    return findings


def _wanted(options: argparse.Namespace) -> command.Wanted:
    levels = options.connections or command.LEVELS
    return command.Wanted(options.peers, levels, options.rounds, options.seconds, options.json, options.markdown)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.peers is not None and options.only is not None:
        parser.error("--only is for what Kiln is measured by alone; name the peers after --peers instead")
    if options.peers is None and (options.connections or options.markdown):
        parser.error("--connections and --markdown need --peers")
    options.only = options.only or NAMES
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kiln bench", description="Measure this machine with Kiln and its peers.")
    parser.add_argument("--rounds", type=_positive, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--seconds", type=_positive, default=5, help="how long each time (default: 5)")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=" ".join(NAMES))
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=known.NAMES,
        metavar="NAME",
        help=f"measure Kiln side by side with other servers instead: {' '.join(known.NAMES)} (default: all)",
    )
    parser.add_argument(
        "--connections",
        nargs="+",
        type=_positive,
        metavar="N",
        help="with --peers: how many at a time (default: 1 4 16 64)",
    )
    parser.add_argument("--json", type=_path, metavar="FILE", help="also write everything there")
    parser.add_argument("--markdown", type=_path, metavar="FILE", help="with --peers: also write the tables there")
    return parser


def _path(text: str) -> Path:
    """From where the caller of the launcher stands, which starts this in the project's folder."""
    return Path(os.environ.get("KILN_CWD", "."), text)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError("a whole number from 1 on is needed")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
