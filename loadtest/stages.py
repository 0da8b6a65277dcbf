"""Where the CPU time of one picture goes, each stage alone on one thread. As a program: prints it as JSON."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from .figures import Spread
from .processes import ROOT, plain_environment
from .servers import MODEL, PHOTO

_BATCHES, _TIMES = 9, 40


def measure() -> dict[str, Spread]:
    """Milliseconds of `decode` (bytes to tensor) and `engine` (tensor to scores)."""
    command = [sys.executable, "-m", "loadtest.stages"]
    environment = {**plain_environment(), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment)
    return {name: Spread(tuple(values)) for name, values in json.loads(done.stdout).items()}


def _main() -> None:
    from model.preprocess import Limits
    from model.store import Store

    store = Store(ROOT / "model" / "store", Limits(), default=MODEL)
    store.load()
    model, photo = store.get(), PHOTO.read_bytes()
    tensor = model.prepare([photo])
    stages: dict[str, Callable[[], object]] = {
        "decode": lambda: model.prepare([photo]),
        "engine": lambda: model.classify(tensor),
    }
    found: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(_BATCHES):
        for name, stage in stages.items():
            found[name].append(statistics.median(_milliseconds(stage) for _ in range(_TIMES)))
    print(json.dumps(found))


def _milliseconds(stage: Callable[[], object]) -> float:
    started = time.thread_time()  # what others do on this core does not count
    stage()
    return (time.thread_time() - started) * 1e3


if __name__ == "__main__":
    _main()
