"""Which scores are the best: the one order for every protocol."""

from __future__ import annotations

import numpy as np


def best_first(rows: np.ndarray, count: int) -> np.ndarray:
    """Scores (n, labels) -> the indices of the `count` highest of each row, (n, count or as many as there are).

    The highest comes first; of equal ones the lowest index, as `argmax` has it. NaN counts as the highest, so that none
    is missed.
    """
    backwards = rows[:, ::-1].argsort(-1, kind="stable")[:, ::-1]  # a stable sort, read from its end
    best: np.ndarray = (rows.shape[1] - 1 - backwards)[:, :count]
    return best
