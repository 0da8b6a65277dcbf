"""Kiln's commands on a node that provision.sh made: models, keys and doctor, with the settings of the service.

It is the command `kiln` there (deploy/image/kiln); a checkout has ./kiln.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from app import settings

from .doctor import environment_file

SETTINGS = Path("/etc/kiln/kiln.env")
COMMANDS = {"models": "model.cli.__main__", "keys": "app.keys.__main__", "doctor": "deploy.doctor.__main__"}
# What a worker imports, and what its master does.
SERVES = ("gunicorn.app.wsgiapp", "flask_restful", "deploy.notify", "deploy.worker", "model.store", "app.routes")
USAGE = """usage: kiln COMMAND [options]

  models   what the store holds: list, inspect, verify, use, remove
  keys     API keys: add, list, remove
  doctor   do nginx, gunicorn, the settings, systemd and the machine fit together?

Each has --help. The settings are those of the service, in /etc/kiln/kiln.env."""


def main(arguments: Sequence[str], file: Path = SETTINGS) -> int:
    """Run one command. file: the settings of the service. Returns the exit status: the command's, or 2 for none."""
    command = arguments[0] if arguments else "help"
    if command in ("help", "--help", "-h"):
        print(USAGE)
        return 0
    if command != "--check" and command not in COMMANDS:
        print(f"kiln: there is no command {command}.\n\n{USAGE}", file=sys.stderr)
        return 2
    try:
        found, faults = environment_file.read(file) if file.exists() else ({}, [])
    except OSError as fault:
        print(f"kiln: {fault.filename}: {fault.strerror}. Run it as root: sudo kiln {command} ...", file=sys.stderr)
        return 1
    if command != "doctor":  # which says so itself
        for fault in faults:
            print(f"kiln: {fault}", file=sys.stderr)
    if command == "--check":
        return _check(found)
    os.environ.update(found)
    run = importlib.import_module(COMMANDS[command]).main
    status: int = run(arguments[1:])
    return status


def _check(environment: dict[str, str]) -> int:
    """Whether this code can serve with this Python and these settings: 0, or 1 with what is wrong."""
    try:
        for name in SERVES:
            importlib.import_module(name)
        settings.read(environment)
    except (ImportError, SyntaxError, settings.SettingsError) as wrong:
        print(f"kiln: {wrong}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
