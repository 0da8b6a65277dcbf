"""The command line of `./kiln load`."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import math
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from app import cores

from .. import machine, outputs
from ..photos import FOLDER, WAYS, read_photos
from ..processes import Failed, end_on_sigterm
from . import ladder, page, plots, target, users
from .format import FORMAT, VERSION, error_share
from .plots import spread_text
from .target import Target

_ROUNDS = 3  # fewer show no spread
_OTHER_FILES = 64  # open besides the users' connections


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write. Exit status 1 says that there is no report, or that too much of it are errors."""
    options = _parser().parse_args(arguments)
    end_on_sigterm()
    console = Console()
    folder = _path(options.output)
    try:
        reports = [folder / "report.json", folder / "report.html"] if folder.is_dir() else []
        outputs.check(reports, [folder])
        report = _measure(options, console)
        _write(report, folder)
    except Failed as failed:
        _complain(str(failed))
        return 1
    except KeyboardInterrupt:
        console.print("Stopped; everything that was started is ended.")
        return 130
    console.print(_table(report))
    console.print(f"Written: {folder}/report.html, report.json and PNG plots", markup=False, highlight=False)
    for warning in report["warnings"]:
        console.print(f"The report warns: {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    problems = _problems(report, options.max_error_rate)
    for problem in problems:
        _complain(problem)
    return 1 if problems else 0


def _complain(problem: str) -> None:
    Console(stderr=True).print(f"kiln: {problem}", style="red", markup=False, highlight=False, soft_wrap=True)


def _problems(report: dict[str, Any], most: float) -> list[str]:
    """What speaks against the report as a whole. most: part of the requests of a point that may be errors."""
    found = []
    for point in report["points"]:
        share = error_share(point)
        if share > most or not point["p99_ms"]:
            found.append(
                f"{point['users']} users: error rate {share:.4f}, at most {most:g} wanted: {'; '.join(point['faults'])}"
            )
    return found


def _measure(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    _may_open(max(options.users))
    photos = read_photos(_path(options.photos) if options.photos else FOLDER)
    warning = machine.warning()
    with contextlib.ExitStack() as stack:
        server = _server(options, stack)
        models = server.models()
        bodies = [photo.body(options.way) for photo in photos]
        server.try_out(*bodies[0])
        requests = [users.post(server.host, server.path, body, kind, server.headers) for body, kind in bodies]
        with console.status("") as status:
            points = ladder.climb(
                server.address,
                requests,
                options.users,
                options.duration,
                options.rounds,
                server.roots,
                status.update,
                server.tls,
            )
    count = options.cores or cores.usable()
    warnings = [warning] if warning else []
    if any("status 429" in point.errors for point in points):
        warnings.append(
            "The server limits what one address or key may ask (429), and that is what was measured. docs/load.md says "
            "how to lift the limit for the test."
        )
    if ladder.not_the_server(points, options.duration):
        for point in points:
            point.forget_server()
        warnings.append(
            "The processes named with --pid took next to no CPU: they are not what answered, and are left out. "
            "Name the server's first process."
        )
    if not server.roots:
        warnings.append("The server's CPU and memory were not measured: name its first process here with --pid.")
    return {
        "format": FORMAT,
        "version": VERSION,
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "facts": {
            "Server": f"{server.url}, {', '.join(models)}",
            "Posted": f"{_photos(len(photos))}, way {options.way}, "
            f"{sum(len(body) for body, _ in bodies) / len(bodies) / 1e3:,.1f} kB in the mean",
            **_machine(options),
        },
        "warnings": warnings,
        "cores": count,
        "rounds": options.rounds,
        "seconds": options.duration,
        "points": [point.to_json(count) for point in points],
    }


def _may_open(connections: int) -> None:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and connections + _OTHER_FILES > most:
        raise Failed(
            f"--users {connections}: this process may have {most} files open, and each user needs one. Raise the limit "
            f"first: ulimit -n {connections + _OTHER_FILES}"
        )


def _server(options: argparse.Namespace, stack: contextlib.ExitStack) -> Target:
    if not options.url:
        if options.ca or options.insecure:
            raise Failed("--ca and --insecure are for a server at --url https://…; without --url one is started here.")
        return stack.enter_context(target.started(options.workers or cores.usable(), options.engine))
    server = target.at(options.url, options.pid, _path(options.ca) if options.ca else None, insecure=options.insecure)
    if not server.here and not (options.machine and options.cores):
        raise Failed(f"{server.url} is another machine: say what it is with --machine TEXT and --cores N.")
    return server


def _machine(options: argparse.Namespace) -> dict[str, str]:
    if not options.machine:
        return machine.describe()
    mine = {f"Load generator's {name}": value for name, value in machine.describe().items()}
    return {"Server's machine": f"{options.machine}, {options.cores} cores", **mine}


def _photos(count: int) -> str:
    return "one photo" if count == 1 else f"{count} photos in turns"


def _write(report: dict[str, Any], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
        captions = plots.draw(report, folder)
        (folder / "report.html").write_text(page.render(report, folder, captions))
    except OSError as fault:
        raise Failed(f"The report cannot be written to {folder}: {fault}") from fault


def _table(report: dict[str, Any]) -> Table:
    table = Table(title="median (lowest–highest) of the rounds", title_justify="left", title_style="bold")
    for column in ("users", "answers/s", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(column, justify="right", overflow="fold")
    table.add_column("faults")
    for point in report["points"]:
        times = (spread_text(point[f"p{percent}_ms"], 1) for percent in ladder.PERCENTILES)
        rate = spread_text(point["per_second"], 0)
        table.add_row(str(point["users"]), rate, *times, "; ".join(point["faults"]))
    return table


def _path(text: str) -> Path:
    """From where the caller of the launcher stands, which starts this in the project's folder."""
    return Path(os.environ.get("KILN_CWD", "."), text).resolve()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kiln load",
        description="Response time and throughput against the number of users, as a report.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--users", type=_steps, default=[1, 2, 5, 10, 20, 50], metavar="N,N,…", help="(default: 1,2,5,10,20,50)"
    )
    parser.add_argument(
        "--duration", type=_seconds, default=20.0, metavar="SECONDS", help="of each point in a round (default: 20)"
    )
    parser.add_argument("--rounds", type=_rounds, default=_ROUNDS, help="how often each point is measured, at least 3")
    parser.add_argument(
        "--max-error-rate", type=_part, default=0.0, metavar="PART", help="fail above it at any point (default: 0)"
    )
    parser.add_argument("--output", default="reports/load", metavar="DIR", help="(default: reports/load)")
    parser.add_argument("--photos", metavar="DIR", help="photos to post, in turns (default: one of a cat)")
    parser.add_argument("--way", choices=WAYS, default="raw", help="how to post (default: raw)")
    parser.add_argument("--workers", type=_count, default=0, help="of the server that is started (default: one a core)")
    parser.add_argument("--engine", default="", help="of the server that is started (default: the bundle's choice)")
    parser.add_argument("--url", metavar="URL", help="measure the server there instead of starting one")
    certificates = parser.add_mutually_exclusive_group()
    certificates.add_argument(
        "--ca", metavar="FILE", help="certificates (PEM) to trust, of https (default: the system's)"
    )
    certificates.add_argument("--insecure", action="store_true", help="do not check the certificate of https")
    parser.add_argument("--pid", type=_count, action="append", default=[], help="its first process, if it runs here")
    parser.add_argument("--machine", metavar="TEXT", help="what it runs on, if that is not here")
    parser.add_argument("--cores", type=_count, metavar="N", help="cores of the server's machine")
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError("a whole number from 1 on is needed")
    return int(text)


def _rounds(text: str) -> int:
    if (count := _count(text)) < _ROUNDS:
        raise argparse.ArgumentTypeError(f"at least {_ROUNDS} are needed to show a spread")
    return count


def _steps(text: str) -> list[int]:
    return sorted({_count(part) for part in text.split(",")})


def _part(text: str) -> float:
    try:
        part = float(text)
    except ValueError:
        part = math.nan
    if not 0 <= part <= 1:
        raise argparse.ArgumentTypeError("a part from 0 to 1 is needed, 0.01 is one in 100")
    return part


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (math.isfinite(seconds) and seconds > 0):
        raise argparse.ArgumentTypeError("a number of seconds above 0 is needed")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
