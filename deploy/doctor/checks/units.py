"""What systemd says of nginx, the service and its socket: that they run, and come back after a reboot."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .. import unit
from ..chain import Chain
from ..findings import Finding, Findings, Level

_SYSTEMD = Path("/run/systemd/system")  # there where systemd runs the machine: sd_booted(3)
_SECONDS = 10.0
_RUNS = {"active", "reloading", "refreshing"}


def check(chain: Chain) -> Findings:
    """Ask systemctl, where the unit that is looked at is the one in force on this machine."""
    program = shutil.which("systemctl")
    if chain.unit is None or chain.unit.path != unit.IN_FORCE or program is None or not _SYSTEMD.is_dir():
        return
    names = ["nginx.service", chain.unit.path.name]
    if held := chain.unit.socket():
        names.append(held[0].name)
    try:
        found = [one for name in names for one in _of_unit(program, name)]
    except subprocess.TimeoutExpired:
        message = f"Whether {', '.join(names)} run is not known: systemctl does not answer within {_SECONDS:g} s."
        yield Finding("units", Level.WARNING, message, "Ask it by hand: systemctl status says what keeps it.")
        return
    yield from found
    if not found:
        yield Finding("units", Level.GOOD, f"{', '.join(names)} run and come back after a reboot.")


def _of_unit(program: str, name: str) -> Iterator[Finding]:
    state, _ = _ask(program, "is-active", name)
    if state not in _RUNS:
        # What failed too often is not started again before its failures are forgotten.
        forget = f"systemctl reset-failed {name} && " if state == "failed" else ""
        message = f"{name} is {state or 'not known to systemd'}, not active: the node is out of service."
        yield Finding(
            "units", Level.PROBLEM, message, f"{forget}systemctl start {name}; journalctl -u {name} says more."
        )
    state, comes_back = _ask(program, "is-enabled", name)
    if not comes_back or state == "enabled-runtime":
        unmask = f"systemctl unmask {name} && " if state.startswith("masked") else ""
        message = f"{name} is {state or 'not known to systemd'}, not enabled: it does not come back after a reboot."
        yield Finding("units", Level.WARNING, message, f"{unmask}systemctl enable {name}, unless that is meant.")


def _ask(program: str, question: str, name: str) -> tuple[str, bool]:
    """(the state, whether systemctl says yes)"""
    done = subprocess.run(  # noqa: S603
        [program, question, name], capture_output=True, text=True, errors="replace", timeout=_SECONDS
    )
    return done.stdout.strip(), done.returncode == 0
