"""golden.npz: inputs and Keras' own answers to them, kept so that they are read fast, at each start of each worker.

`input_0`, `input_1`, ... and `output_0`, ... in NumPy's .npz form, not compressed. Numbers made of pictures have few
different values; such an array holds places in another one, `input_0_values`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BundleError

_VALUES = "_values"  # what follows the name of the array that is meant
_WORTH = 4096  # numbers; below that there is nothing to save


def write(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep the arrays under their names. dtypes: numbers, booleans and str."""
    kept: dict[str, Any] = {}
    for name, values in arrays.items():
        kept |= _parts(name, values)
    np.savez(file, **kept)


def read(file: Path, inputs: int, outputs: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(so many inputs, so many outputs). Raises BundleError when one is missing."""
    with np.load(file) as kept:
        try:
            return _named(kept, "input", inputs), _named(kept, "output", outputs)
        except KeyError as missing:
            raise BundleError(f"{file.name} lacks a tensor: {missing}. Build the bundle again.") from missing


def _parts(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    if values.dtype.kind == "f" and values.size > _WORTH:
        different, places = np.unique(values, return_inverse=True)
        kind = np.min_scalar_type(different.size - 1)
        if kind.itemsize <= 2:
            return {name: places.astype(kind).reshape(values.shape), name + _VALUES: different}
    return {name: values}


def _named(kept: Mapping[str, np.ndarray], which: str, count: int) -> list[np.ndarray]:
    return [_whole(kept, f"{which}_{number}") for number in range(count)]


def _whole(kept: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    values = kept.get(name + _VALUES)
    return kept[name] if values is None else values[kept[name]]
