"""API keys, where they are on: the service can read them, and others cannot."""

from __future__ import annotations

from pathlib import Path

from app.keys import file

from .. import rights
from ..chain import Chain
from ..findings import Finding, Findings, Level


def check(chain: Chain) -> Findings:
    """Read the file of keys as the service would."""
    if not chain.settings.api_keys:
        return
    path = Path(chain.settings.api_keys)
    keys: tuple[file.Key, ...] = ()
    try:
        keys = file.read(path)
        why = rights.obstacle(chain.user, path, rights.READ)
    except (file.KeysError, OSError) as wrong:
        yield _problem(str(wrong), "The service does not start before it is right.")
        return
    except KeyError:
        why = f"there is no user {chain.user}"
    if why:
        group = chain.unit.last("Group") or chain.user if chain.unit else "its group"
        yield _problem(f"The service cannot read its API keys: {why}.", f"chgrp {group} {path} && chmod 640 {path}")
    elif path.stat().st_mode & 0o022:
        message = f"Others than its owner may write to {path}, and so let themselves in."
        yield _problem(message, f"chmod go-w {path}.")
    elif not keys:
        message = f"{path} has no key: nobody is served."
        yield Finding("keys", Level.WARNING, message, "Make one: kiln keys add NAME (./kiln in a checkout).")
    else:
        yield Finding("keys", Level.GOOD, f"{path} has {len(keys)} of them.")


def _problem(message: str, remedy: str) -> Finding:
    return Finding("keys", Level.PROBLEM, message, remedy)
