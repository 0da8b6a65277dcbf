"""The version of this code, and where it came from if it was installed on a machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VERSION = "0.1.0"

_STAMP = Path(__file__).resolve().parent.parent / "BUILD"


def build() -> dict[str, Any] | None:
    """The build stamp: release, commit, and time (UTC) of installation; None in a checkout, which has none.

    deploy/image/provision.sh writes it. One that cannot be read is no reason not to serve.
    """
    try:
        stamp = json.loads(_STAMP.read_bytes())
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None
