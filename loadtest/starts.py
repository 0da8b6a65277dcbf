"""Start: from the launch of `./kiln run`'s program to its first answer to a photo."""

from __future__ import annotations

import compileall
from collections.abc import Callable

from . import servers
from .figures import Spread
from .processes import ROOT

_TIMES = {"litert": 5, "keras": 2}


def measure(tell: Callable[[str], None]) -> dict[str, Spread]:
    """Seconds for each engine, in turns as far as they go. Files are in the system's cache from the second start on."""
    for folder in ("app", "model", "deploy"):  # as the launcher does at set-up, before what was edited since
        compileall.compile_dir(ROOT / folder, quiet=2)
    found: dict[str, list[float]] = {engine: [] for engine in _TIMES}
    for number in range(max(_TIMES.values())):
        for engine, times in _TIMES.items():
            if number < times:
                tell(f"start {number + 1} of {times} with {engine}")
                with servers.kiln(engine=engine) as server:
                    found[engine].append(server.seconds_to_answer)
    return {engine: Spread(tuple(seconds)) for engine, seconds in found.items()}
