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

from . import notify, trial
from .doctor import environment_file, unit

SETTINGS = Path("/etc/kiln/kiln.env")
UNIT = unit.IN_FORCE
SHIPPED_UNIT = Path(__file__).parent / "systemd" / UNIT.name
ASK_SECONDS = 5.0  # for the service's own word
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


def _check(found: dict[str, str]) -> int:
    """Whether this code can serve with this Python, these settings and the node's models: 0, or 1 with what is wrong.

    found: the settings of the service, which its unit may add to.
    """
    try:
        for name in SERVES:
            importlib.import_module(name)
        service = unit.read(UNIT if UNIT.exists() else SHIPPED_UNIT)
        environment = service.environment()[0] | found
        config = settings.read(environment)
        trouble = _trouble(config, {"PATH": os.environ.get("PATH", os.defpath), **environment}, service.last("User"))
    except (ImportError, SyntaxError, settings.SettingsError) as wrong:
        trouble = str(wrong) or repr(wrong)
    if trouble:
        print(f"kiln: {trouble}", file=sys.stderr)
    return 1 if trouble else 0


def _trouble(config: settings.Settings, environment: dict[str, str], user: str) -> str:
    """What a trial of them says; empty where they would answer, or a model is not there or does not as it is."""
    from gunicorn.util import parse_address

    from model import disk

    only_a_model, trouble = trial.attempt(environment, user)
    if not trouble or not only_a_model:
        return trouble
    has_models = any(disk.versions(config.store / name) for name in {config.model, *config.models})
    said = notify.ask(parse_address(config.address), ASK_SECONDS)
    return "" if not has_models or said.startswith("not ready") else trouble


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
