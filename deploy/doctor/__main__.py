"""`./kiln doctor`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import chain, unit
from .checks import ALL
from .findings import Finding, Level

NGINX, UNIT = Path("/etc/nginx/nginx.conf"), unit.IN_FORCE


def main(arguments: Sequence[str] | None = None) -> int:
    """Check everything and report. 0: nothing is wrong, though there may be warnings. 1: something is."""
    options = _parser().parse_args(arguments)
    nginx_file = _where(options.nginx) or (NGINX if _is_ours(NGINX) else chain.SHIPPED)
    unit_file = _where(options.unit) or (UNIT if UNIT.exists() else None)
    found, findings = chain.read(nginx_file, unit_file, _where(options.env))
    if found:
        for check in ALL:
            findings += check(found)
    bad = any(one.level is Level.PROBLEM for one in findings)
    if options.json:
        print(json.dumps({"good": not bad, "findings": [one.to_json() for one in findings]}, indent=2))
    else:
        settings = f"{options.env or unit_file or 'the environment'}"
        print(f"nginx: {nginx_file}; systemd: {unit_file or 'no unit'}; settings: {settings}\n")
        for one in findings:
            _print(one)
    return 1 if bad else 0


def _where(given: str) -> Path | None:
    """Relative to where the caller stood: the launcher has changed the folder."""
    return Path(os.environ.get("KILN_CWD", ""), given) if given else None


def _is_ours(path: Path) -> bool:
    try:
        return "kiln" in path.read_text(errors="replace")
    except OSError:
        return False


def _print(one: Finding) -> None:
    print(f"{one.level.upper() if one.level is Level.PROBLEM else one.level:8} {one.check}: {one.message}")
    if one.remedy:
        print(f"{'':8} -> {one.remedy}")


def _parser() -> argparse.ArgumentParser:
    text = "Check nginx, gunicorn, the settings, systemd and the machine against each other. Status 1 if any is wrong."
    parser = argparse.ArgumentParser(prog="kiln doctor", description=text)
    parser.add_argument("--nginx", default="", metavar="FILE", help=f"default: {NGINX}, else the one that ships")
    parser.add_argument("--unit", default="", metavar="FILE", help=f"default: {UNIT}, where it is there")
    env = "the service's environment (default: what the unit names, else this shell's)"
    parser.add_argument("--env", default="", metavar="FILE", help=env)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
