"""Make the app once, as a worker would, beside what runs: would workers with these settings and this code answer?

`reload.py` starts it (`attempt`) as a process of its own before it replaces anything, and so does provision.sh, by
`node.py --check`. Exit status UNREADY, with the reason as the last line of what it says, where a model would not;
another one than 0 where the app cannot even be made.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

UNREADY = 3
ROOT = Path(__file__).resolve().parent.parent
LOAD_SECONDS = (
    50.0  # systemd gives a reload 120 s; the workers need some of it. A slower model has the benefit of doubt.
)
LIMIT_SECONDS = 115.0  # of all of it


def main() -> None:
    """Raises what the master or a worker would raise."""
    sys.path.insert(0, str(ROOT))
    configure()
    from app import create_app

    store = create_app().extensions["kiln"]["store"]
    if store.wait(LOAD_SECONDS) and (unready := store.unready()):
        print(" ".join(f"Model {name} would not answer: {reason}" for name, reason in unready.items()), file=sys.stderr)
        sys.exit(UNREADY)


def attempt(environment: Mapping[str, str] | None = None, user: str = "") -> tuple[bool, str]:
    """(whether all but a model is right, what the trial said: its log, and last why workers would not answer).

    The latter is empty where they would.

    environment: theirs; this process's own without one. user: whom root tries it as, where the machine has that one.
    """
    command = [sys.executable, str(ROOT / "deploy" / "trial.py")]
    identity = _identity(user) if os.geteuid() == 0 else {}
    try:
        done = subprocess.run(  # noqa: S603  our own
            command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, **identity
        )
    except subprocess.TimeoutExpired:
        return False, f"Its workers would not start within {LIMIT_SECONDS:g} s."
    if done.returncode == 0:
        return True, ""
    said = done.stderr.strip()
    if done.returncode == UNREADY:
        return True, said
    return False, f"Its workers would not start:\n{said}"


def _identity(user: str) -> dict[str, Any]:
    """What makes a process that user's, with all groups, as systemd does."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return {}
    groups = os.getgrouplist(user, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


def configure() -> None:
    """Run gunicorn's configuration as the master will, with the settings of this process. SystemExit where it fails.

    As on SIGHUP: it then makes no folder for metrics. What an earlier reload laid down is not read.
    """
    from gunicorn.app.wsgiapp import WSGIApplication

    os.environ["KILN_METRICS_OWNER"] = str(os.getpid())
    os.environ.pop("RUNTIME_DIRECTORY", None)
    sys.argv[1:] = ["--config", str(ROOT / "deploy" / "gunicorn.conf.py")]
    _ = WSGIApplication().cfg.worker_class  # imports it


if __name__ == "__main__":
    main()
