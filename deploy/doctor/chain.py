"""Everything that the checks look at, read once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import settings
from app.settings import Settings

from . import environment_file, nginx, unit
from .findings import Finding, Level
from .nginx import Directive, Way
from .unit import Unit

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "deploy" / "nginx.conf"
# gunicorn itself says what is in force: its file as it computes, its command line, its defaults. The file makes a
# folder, which on_exit takes away.
_READ = """
import json
from gunicorn.app.wsgiapp import WSGIApplication
conf = WSGIApplication().cfg
conf.on_exit(None)
names = ("bind", "workers", "timeout", "graceful_timeout", "keepalive", "worker_connections", "backlog")
print(json.dumps({name: getattr(conf, name) for name in names}))
"""


@dataclass(frozen=True)
class Chain:
    """What belongs together, or should.

    settings: as the service has them. gunicorn: its configuration, as far as it matters here. nginx: all of its.
    way: nginx's location that leads to gunicorn, and upstream the servers it names; None where nginx does not know
    Kiln. unit: systemd's, where there is one. environment: the service's.
    """

    settings: Settings
    gunicorn: dict[str, Any]
    nginx: list[Directive]
    way: Way | None
    upstream: Directive | None
    unit: Unit | None
    environment: Mapping[str, str]

    @property
    def listens(self) -> str:
        """Where gunicorn does, as nginx writes it."""
        return str(self.gunicorn["bind"][0])

    @property
    def workers(self) -> int:
        """How many gunicorn starts: its command line goes before the settings."""
        return int(self.gunicorn["workers"])

    @property
    def user(self) -> str:
        """Whom the service runs as; empty: whoever asks."""
        return self.unit.last("User") if self.unit else ""

    def is_kiln(self, target: str) -> bool:
        """Whether a proxy_pass with that target hands on to Kiln."""
        name, _ = nginx.split(target)
        if self.way and name == nginx.split(self.way.target)[0]:
            return True
        return any(self.listens in server for server in _servers(self.nginx, name))


def read(nginx_file: Path, unit_file: Path | None, own_file: Path | None) -> tuple[Chain | None, list[Finding]]:
    """(the chain, what could not be read). None where the rest is not worth a look.

    own_file: an environment file beside those that the unit names.
    """
    findings: list[Finding] = []
    service = None
    environment: Mapping[str, str] = os.environ
    try:
        if unit_file:
            service = unit.read(unit_file)
            environment, missing, faults = service.environment()
            findings += [_problem(fault, "Mend the file.") for fault in service.faults + faults]
            if missing and not own_file:
                names = ", ".join(map(str, missing))
                told = f"{unit_file} names {names}, which is not there: the service does not start."
                findings.append(_problem(told, "Write it, or name the one in force with --env."))
        if own_file:
            variables, faults = environment_file.read(own_file)
            environment = {**(environment if unit_file else {}), **variables}
            findings += [_problem(fault, "Mend the file.") for fault in faults]
        config = settings.read(environment)
    except settings.SettingsError as wrong:
        return None, [*findings, _problem(f"{wrong}.", "The service does not start before they are right.")]
    except OSError as fault:
        as_root = isinstance(fault, PermissionError)
        remedy = "Run this as root." if as_root else "Name the file that is meant, with --unit or --env."
        return None, [*findings, _problem(f"{fault.filename}: {fault.strerror}.", remedy)]
    try:
        tree = nginx.read(nginx_file)
    except (nginx.NginxError, OSError) as wrong:
        tree = []
        findings.append(_problem(str(wrong), "Mend it, or name nginx's configuration with --nginx."))
    findings += _nginx_says(nginx_file)
    conf = _gunicorn(environment, service)
    if conf is None:
        return None, [
            *findings,
            _problem("deploy/gunicorn.conf.py cannot be run.", "Start the service: its log says why."),
        ]
    if service and (held := service.socket()):
        if config.bind and conf["bind"] != [held[1]]:
            message = f"KILN_BIND={config.bind} has no effect: {held[0]} listens on {held[1]}, and the service with it."
            findings.append(Finding("files", Level.WARNING, message, f"Leave it out, or change {held[0]}."))
        conf["bind"] = [held[1]]
    way, upstream = _way(tree, conf["bind"][0])
    return Chain(config, conf, tree, way, upstream, service, environment), findings


def _nginx_says(file: Path) -> list[Finding]:
    """nginx's own word on its file. The one that ships is for another place, and may not fit this machine."""
    program = nginx.program()
    if program is None or not file.is_file() or file.resolve() == SHIPPED:
        return []
    try:
        refusal = nginx.refusal(program, file)
    except nginx.NotTried as reason:
        return [Finding("files", Level.WARNING, f"nginx -t was not tried to its end: {reason}.", "Run this as root.")]
    if refusal:
        return [_problem(f"nginx does not start with {file}: {refusal}.", "Mend it; nginx -t looks again.")]
    return [Finding("files", Level.GOOD, f"nginx -t takes {file}.")]


def _problem(message: str, remedy: str) -> Finding:
    return Finding("files", Level.PROBLEM, message, remedy)


def _gunicorn(environment: Mapping[str, str], service: Unit | None) -> dict[str, Any] | None:
    others = {name: value for name, value in os.environ.items() if not name.startswith("KILN_")}
    done = subprocess.run(  # noqa: S603  our own interpreter and our own words
        [sys.executable, "-c", _READ, *_arguments(service)],
        cwd=ROOT,
        env=others | dict(environment),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return None
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _arguments(service: Unit | None) -> list[str]:
    """What the unit tells gunicorn on its command line."""
    words = service.words("ExecStart") if service else []
    at = next((number for number, word in enumerate(words) if Path(word).name == "gunicorn"), None)
    return ["--config", "deploy/gunicorn.conf.py"] if at is None else words[at + 1 :]


def _servers(tree: list[Directive], name: str) -> list[str]:
    """Whom a proxy_pass means: the servers of an upstream, or whom it names itself."""
    group = nginx.upstreams(tree).get(name)
    return [one.arguments[0] for one in group.block if one.name == "server"] if group else [name]


def _way(tree: list[Directive], listens: str) -> tuple[Way | None, Directive | None]:
    """Of nginx's locations the one that leads to where gunicorn listens, else one whose name says Kiln."""
    groups = nginx.upstreams(tree)
    found = []
    for way in nginx.ways(tree):
        name, _ = nginx.split(way.target)
        group, servers = groups.get(name), _servers(tree, name)
        here = any(listens in server for server in servers)
        found.append((not here, "kiln" not in f"{way.target} {servers}", way, group))
    found = [one for one in found if not (one[0] and one[1])]
    if not found:
        return None, None
    _, _, way, group = min(found, key=lambda one: one[:2])
    return way, group
