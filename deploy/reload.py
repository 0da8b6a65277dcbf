"""`systemctl reload kiln`: new settings and new code, without a lost request.

A running process cannot see that /etc/kiln/kiln.env has changed. systemd starts this file with the environment that a
new start would have. Settings and code with which workers would not answer (trial.py) are refused here, and what runs
is left alone: gunicorn would end, with all its workers. Right ones are laid down for the master, which gets SIGHUP,
reads them (`take_over`, called by deploy/gunicorn.conf.py) and replaces its workers.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gunicorn.util import parse_address  # noqa: E402

from app import settings  # noqa: E402
from deploy import trial  # noqa: E402
from deploy.notify import ask  # noqa: E402

PREFIXES = ("KILN_", "OTEL_")  # what kiln.env may hold
ASK_SECONDS = 5.0  # for the service's own word
WAIT_SECONDS = 60.0  # for the old workers; gunicorn gives them 30 s to finish


def main() -> None:
    """Check, hand over, wait until no old worker is left. Exits with a message where something is wrong."""
    master = int(os.environ["MAINPID"])
    try:
        fresh_settings = settings.read()
    except settings.SettingsError as wrong:
        sys.exit(f"kiln: nothing was reloaded. {wrong}")
    if fresh_settings.address != settings.read(_environment(master)).address:  # it may have a socket of systemd's
        sys.exit("kiln: nothing was reloaded. Where the service listens takes a restart: systemctl restart kiln")
    if trouble := _trouble(fresh_settings.address):
        sys.exit(f"kiln: nothing was reloaded, what ran goes on. {trouble}")
    file = _file(os.environ)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps({name: os.environ[name] for name in os.environ if _ours(name)}))
    fresh.rename(file)
    old = _workers(master)
    os.kill(master, signal.SIGHUP)
    deadline = time.monotonic() + WAIT_SECONDS
    while old & _workers(master):
        if time.monotonic() > deadline:
            sys.exit("kiln: new workers serve, but old ones have not ended. See: journalctl -u kiln")
        time.sleep(0.05)


def take_over(environment: MutableMapping[str, str]) -> None:
    """In the master: put the settings that a reload laid down in the place of those it was started with."""
    if "RUNTIME_DIRECTORY" not in environment or not (file := _file(environment)).exists():
        return
    for name in filter(_ours, list(environment)):
        del environment[name]
    environment.update(json.loads(file.read_text()))


def _environment(process: int) -> Mapping[str, str]:
    """What it was started with."""
    pairs = (pair.partition("=") for pair in Path(f"/proc/{process}/environ").read_text().split("\0"))
    return {name: value for name, _, value in pairs}


def _trouble(address: str) -> str:
    """Why workers would not answer with what they would get now; empty where they would, or do not as it is."""
    only_a_model, trouble = trial.attempt()
    if trouble and only_a_model and ask(parse_address(address), ASK_SECONDS).startswith("not ready"):
        return ""
    return trouble.splitlines()[-1] if only_a_model and trouble else trouble


def _file(environment: MutableMapping[str, str]) -> Path:
    return Path(environment["RUNTIME_DIRECTORY"], "environment.json")


def _ours(name: str) -> bool:
    return name.startswith(PREFIXES) and name not in settings.INTERNAL


def _workers(master: int) -> set[int]:
    """Process ids of the master's workers; the process that watches for systemd (notify.py) is none."""
    found = set()
    for child in Path(f"/proc/{master}/task/{master}/children").read_text().split():
        try:
            if b"notify.py" not in Path(f"/proc/{child}/cmdline").read_bytes():
                found.add(int(child))
        except FileNotFoundError:  # it ended meanwhile
            continue
    return found


if __name__ == "__main__":
    main()
