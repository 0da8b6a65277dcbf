"""Which rows 8 bits are calibrated on and which their loss is measured on: others, where a user gave enough."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ENOUGH = 40  # half of them hold the range of most numbers; below that, all are needed to calibrate


class Rows(NamedTuple):
    """Whole numbers, (n,): which of the rows that were asked."""

    calibrated: np.ndarray
    measured: np.ndarray

    @property
    def apart(self) -> bool:
        """Whether no row is in both."""
        return not np.intersect1d(self.calibrated, self.measured).size


def rows(count: int, own: int) -> Rows:
    """count: rows that are asked in all. own: how many of them, the last ones, are the user's; the others are random.

    Every second one each: photos come in the order of their folders, and so both halves have pictures of each.
    """
    everything, given = np.arange(count), np.arange(count - own, count)
    if own >= ENOUGH:
        return Rows(given[::2], given[1::2])
    return Rows(everything, given if own else everything)
