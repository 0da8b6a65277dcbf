"""A candidate's answers and speed, in a process of its own: `python -m model.build.measuring ENGINE FILE ...`."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import engines
from . import child, golden, probes

BATCHES = (1, 4, 16)
ALONE = 4  # instances that are asked for one by one, the rest at once: both ways must be right
TIMEOUT = 900.0
SECONDS = 0.5  # for each batch size


def measure(engine: str, file: Path, inputs: Path, answers: Path, edges: Path | None = None) -> dict[str, float]:
    """Write the engine's answers to `inputs` and return the milliseconds of a call at each batch size.

    inputs, answers: .npz with input_0, … and output_0, …. edges: .npz with input_0, …, the probes; the answers are
    named as in probes.one_by_one. Raises child.ChildFailed with the reason.
    """
    files = [file, inputs, answers, *([edges] if edges else [])]
    output = child.run(["-m", "model.build.measuring", engine, *map(str, files)], TIMEOUT)
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("engine")
    for name in ("file", "inputs", "answers"):
        parser.add_argument(name, type=Path)
    parser.add_argument("edges", type=Path, nargs="?")
    options = parser.parse_args()
    engine = engines.load(options.engine, options.file, threads=1)
    inputs = _inputs(options.inputs)
    arrays: dict[str, Any] = {f"output_{number}": values for number, values in enumerate(all_answers(engine, inputs))}
    times = {str(batch): milliseconds(engine, inputs, batch) for batch in BATCHES}
    if options.edges:
        arrays |= probes.one_by_one(engine, _inputs(options.edges))
    arrays = {name: golden.storable(values) for name, values in arrays.items()}
    np.savez(options.answers, **arrays)
    print(json.dumps(times))


def _inputs(file: Path) -> list[np.ndarray]:
    with np.load(file) as saved:
        return [saved[f"input_{number}"] for number in range(len(saved.files))]


def all_answers(engine: engines.Engine, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The first few one by one, the rest in batches."""
    count = len(inputs[0])
    steps = [(start, start + 1) for start in range(min(ALONE, count))]
    size = 128 if inputs[0][:1].nbytes <= 4096 else 16
    steps += [(start, start + size) for start in range(ALONE, count, size)]
    parts = [engine(*(values[start:stop] for values in inputs)) for start, stop in steps]
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def milliseconds(engine: engines.Engine, inputs: list[np.ndarray], batch: int) -> float:
    """Median of the calls that fit into SECONDS, three at least."""
    rows = np.arange(batch) % len(inputs[0])
    taken = [values[rows] for values in inputs]
    engine(*taken)  # the first call of a size makes room for it
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        engine(*taken)
        times.append(time.perf_counter() - start)
    return round(statistics.median(times) * 1000, 4)


if __name__ == "__main__":
    main()
