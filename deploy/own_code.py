"""Our own code (app, model) in the master: workers share what it has imported, as long as that is what lies on disk."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


def forget() -> None:
    """Whoever imports it next reads it from disk."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("app", "model")]:
        del sys.modules[name]


def stamps() -> dict[str, int]:
    """File -> when it was changed, in nanoseconds, of all that is imported; 0 for a file that is gone."""
    files = [
        file
        for name, module in sys.modules.items()
        if name.partition(".")[0] in ("app", "model") and (file := getattr(module, "__file__", None))
    ]
    return {file: _changed(file) for file in files}


def forget_if_changed(before: Mapping[str, int]) -> None:
    """A worker that starts later than its master must not mix old code with new: it takes all of it from disk then."""
    if any(_changed(file) != then for file, then in before.items()):
        forget()


def _changed(file: str) -> int:
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:
        return 0
