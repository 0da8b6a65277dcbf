"""`./kiln bench --peers`: environments, the model in each form, the rounds, the tables."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from .. import machine, outputs, report, servers, stages, wrk
from ..processes import ROOT, Failed, plain_environment
from . import environments, rounds, tables
from .contestants import contestants
from .findings import Findings
from .known import DRAFT, ENGINES, LITERT, NAMES, ONNX, PACKAGES, PEERS

LEVELS = (1, 4, 16, 64)
_EXPORT_TIMEOUT = 300.0  # seconds


@dataclass(frozen=True)
class Wanted:
    """What to measure and where to write it. names: of peers; all when there are none."""

    names: Sequence[str]
    levels: Sequence[int]
    rounds: int
    seconds: int
    json: Path | None = None
    markdown: Path | None = None


def run(console: Console, wanted: Wanted) -> int:
    """Measure, print, write. Exit status 1 says that a result is not valid, or that nothing could be measured."""
    if not wrk.available():
        raise Failed("wrk is not installed, which posts the photos. On Debian or Ubuntu: apt-get install wrk")
    report.machine(console, machine.describe(), machine.warning())
    with console.status("") as status, tempfile.TemporaryDirectory(prefix="kiln-peers-") as folder:
        names, left_out = _with_environments(wanted.names or NAMES, console)
        found = _measure(names, wanted, Path(folder), status.update)
    found.outcome.left_out = {**left_out, **found.outcome.left_out}
    tables.show(console, found)
    if wanted.json:
        outputs.write(wanted.json, json.dumps(found.to_json(), indent=2) + "\n")
    if wanted.markdown:
        outputs.write(wanted.markdown, tables.markdown(found))
    return 1 if found.faults() else 0


def _with_environments(names: Sequence[str], console: Console) -> tuple[list[str], dict[str, str]]:
    """The peers that have an environment, making those that are missing; and why the others have none."""
    broken: dict[str, str] = {}
    wanted = [peer for peer in PEERS if peer.name in names]
    for name in dict.fromkeys(peer.environment for peer in wanted):
        try:
            environments.ensure(name, console.print)
        except Failed as failed:
            broken[name] = str(failed)
            console.print(str(failed), style="yellow", markup=False, highlight=False)
    left_out = {peer.name: broken[peer.environment] for peer in wanted if peer.environment in broken}
    return [name for name in names if name not in left_out], left_out


def _measure(names: Sequence[str], wanted: Wanted, folder: Path, tell: Callable[[str], None]) -> Findings:
    left_out, models = {}, {}
    if any(peer.name in names for peer in PEERS):
        tell("converting the model to ONNX")
        try:
            models[ONNX] = _onnx(folder / "model.onnx")
        except Failed as failed:
            left_out[ENGINES[ONNX]] = str(failed)
    models[LITERT] = models[DRAFT] = servers.engine_file(LITERT)
    taking_part = contestants(names, models)
    tell("decode and engine alone")
    alone = stages.measure()
    outcome = rounds.measure(taking_part, wanted.rounds, wanted.seconds, wanted.levels, tell)
    outcome.left_out = {**left_out, **outcome.left_out}
    return Findings(taking_part, outcome, wanted.levels, wanted.seconds, machine.describe(), _versions(names), alone)


def _onnx(file: Path) -> Path:
    command = [sys.executable, "-m", "loadtest.peers.onnx_file", str(servers.engine_file("keras")), str(file)]
    try:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=plain_environment(),
            timeout=_EXPORT_TIMEOUT,
        )
    except subprocess.CalledProcessError as fault:
        raise Failed(f"The model could not be converted to ONNX: {fault.stderr[-500:]}") from fault
    except subprocess.TimeoutExpired as fault:
        raise Failed(f"The model could not be converted to ONNX: {fault}") from fault
    return file


def _versions(names: Sequence[str]) -> dict[str, str]:
    """Of each peer and of what runs its model; the tutorial's are the machine's own."""
    found = {}
    for peer in PEERS:
        if peer.name in names:
            installed = environments.versions(peer.environment, [*peer.packages, *PACKAGES])
            found[peer.title] = ", ".join(f"{name} {version}" for name, version in installed.items())
    return found
