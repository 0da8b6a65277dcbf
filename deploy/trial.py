"""Make the app once, as a worker would, beside what runs: would workers with these settings and this code answer?

`reload.py` starts it as a process of its own before it replaces anything. Exit status UNREADY, with the reason as the
last line of what it says, where a model would not; another one than 0 where the app cannot even be made.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

UNREADY = 3
ROOT = Path(__file__).resolve().parent.parent
LOAD_SECONDS = (
    50.0  # systemd gives a reload 120 s; the workers need some of it. A slower model has the benefit of doubt.
)


def main() -> None:
    """Raises what the master or a worker would raise."""
    sys.path.insert(0, str(ROOT))
    configure()
    from app import create_app

    store = create_app().extensions["kiln"]["store"]
    if store.wait(LOAD_SECONDS) and (unready := store.unready()):
        print(" ".join(f"Model {name} would not answer: {reason}" for name, reason in unready.items()), file=sys.stderr)
        sys.exit(UNREADY)


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
