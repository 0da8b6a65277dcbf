"""Make the app once, as a worker would, beside what runs: would workers with these settings and this code answer?

`reload.py` starts it as a process of its own before it replaces anything. Exit status UNREADY, with the reason as the
last line of what it says, where a model would not; another one than 0 where the app cannot even be made.
"""

from __future__ import annotations

import sys
from pathlib import Path

UNREADY = 3
ROOT = Path(__file__).resolve().parent.parent
LOAD_SECONDS = (
    50.0  # systemd gives a reload 120 s; the workers need some of it. A slower model has the benefit of doubt.
)


def main() -> None:
    """Raises what a worker would raise."""
    sys.path.insert(0, str(ROOT))
    conf = ROOT / "deploy" / "gunicorn.conf.py"
    compile(conf.read_bytes(), str(conf), "exec")  # the master runs it again
    from app import create_app

    store = create_app().extensions["kiln"]["store"]
    if store.wait(LOAD_SECONDS) and (unready := store.unready()):
        print(" ".join(f"Model {name} would not answer: {reason}" for name, reason in unready.items()), file=sys.stderr)
        sys.exit(UNREADY)


if __name__ == "__main__":
    main()
