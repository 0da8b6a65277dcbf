"""The code can be read by the service, whose user is not the one who put it there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .. import rights
from ..chain import ROOT, Chain
from ..findings import Finding, Findings, Level

_PARTS = ("api.py", "app", "model", "deploy")
# What need not be read: Python does without its caches, and the bundles that count have a check of their own.
_LEFT_OUT = {"__pycache__", "store"}


def check(chain: Chain) -> Findings:
    """Look at every file and folder of it. A unit whose folder has none is for another machine."""
    if chain.unit is None:
        return
    named = chain.unit.last("WorkingDirectory").removeprefix("-")
    root = Path(named) if named else ROOT
    remedy = f"cd {root} && chmod -R a+rX {' '.join(_PARTS)}; the folders above need a+x."
    try:
        if not (root / _PARTS[0]).exists():
            return
        why = next(filter(None, (rights.obstacle(chain.user, path, rights.READ) for path in _read(root))), "")
        if chain.unit.hides(root):
            why, remedy = f"the unit's ProtectHome hides {root.resolve()}", "Put the code outside of everybody's home."
    except KeyError:
        why, remedy = f"there is no user {chain.user}", "Make it, or correct User= in the unit."
    except OSError as fault:
        message = f"{fault.filename or root} cannot be looked at: {fault.strerror}."
        yield Finding("code", Level.WARNING, message, "Run this as root.")
        return
    if why:
        yield Finding("code", Level.PROBLEM, f"The service cannot read its code: {why}.", remedy)
    else:
        yield Finding("code", Level.GOOD, f"The service can read its code in {root}.")


def _read(root: Path) -> Iterator[Path]:
    """All that the service reads of the code; a folder before what is in it."""
    for part in _PARTS:
        yield root / part
        for folder, folders, files in os.walk(root / part):
            folders[:] = [name for name in folders if name not in _LEFT_OUT]
            yield from (Path(folder, name) for name in (*folders, *files))
