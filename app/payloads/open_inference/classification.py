"""The classification extension: the best values of an output, with their labels."""

from __future__ import annotations

import numpy as np

from model.store import Model

from ...ranking import best_first
from .datatypes import named
from .request import refuse

MOST_ELEMENTS = 1_000_000  # of one instance
MOST_CLASSES = 100_000  # in one answer; each is a text of its own
_NUMBERS = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64"})


def classifies(dtype: str) -> bool:
    """Whether an output of a bundle's dtype can be ranked."""
    return named(dtype) in _NUMBERS


def classified(values: np.ndarray, count: int, model: Model, place: int) -> np.ndarray:
    """Values (n, ...) -> the `count` best of each instance, (n, count or as many as there are), each b"value:index" or
    b"value:index:label"; the highest first.

    place: of the output, whose labels are the model's where it is the first. One value that stands for two labels is
    ranked as the scores of both. Raises RequestError 400 where there are too many values.
    """
    labels = model.bundle.labels if place == 0 else ()
    rows = values.reshape(len(values), -1)
    if rows.shape[1] > MOST_ELEMENTS:
        name = model.bundle.outputs[place].name
        refuse("bad_outputs", f"output '{name}' has over {MOST_ELEMENTS:,} values, too many to be classified")
    if rows.shape[1] == 1 and len(labels) == 2:
        with np.errstate(over="ignore", invalid="ignore"):
            rows = model.bundle.to_scores(rows)
    if len(rows) * min(count, rows.shape[1]) > MOST_CLASSES:
        refuse("bad_outputs", f"more than {MOST_CLASSES:,} classes are asked for; ask for fewer, or for plain values")
    best = best_first(rows, count)
    found = np.empty(best.shape, object)
    for row, order in enumerate(best.tolist()):
        for rank, index in enumerate(order):
            value = rows[row, index]
            number = str(value) if rows.dtype.kind in "iu" else f"{value:.6f}"
            label = f":{labels[index]}" if index < len(labels) else ""
            found[row, rank] = f"{number}:{index}{label}".encode()
    return found
