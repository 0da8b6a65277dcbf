"""Any number of instances through something that takes a fixed number at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Run = Callable[[Sequence[np.ndarray]], tuple[np.ndarray, ...]]


def in_batches(run: Run, inputs: Sequence[np.ndarray], size: int) -> tuple[np.ndarray, ...]:
    """Every instance's outputs, `size` instances at a time; a last batch that is not full repeats its last instance.

    run: takes the inputs with a first axis of exactly `size`. inputs: first axis n >= 1.
    """
    count = len(inputs[0])
    parts = [run([_filled(values[start : start + size], size) for values in inputs]) for start in range(0, count, size)]
    if len(parts) == 1:
        return tuple(values[:count] for values in parts[0])
    return tuple(np.concatenate(values)[:count] for values in zip(*parts, strict=True))


def _filled(values: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(values)
    return np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]) if missing else values
