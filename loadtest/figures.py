"""Numbers with their spread. A ratio is taken round by round, so that what slows a whole round cancels out."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """What several measurements of the same thing gave."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def text(self, digits: int = 2) -> str:
        """median (lowest–highest); the median alone when there is but one."""
        median = f"{self.median:,.{digits}f}"
        if len(self.values) == 1:
            return median
        return f"{median} ({min(self.values):,.{digits}f}–{max(self.values):,.{digits}f})"

    def to_json(self) -> dict[str, object]:
        """Everything."""
        return {
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "values": list(self.values),
        }


def ratio(above: Spread, below: Spread) -> Spread:
    """above / below, each with its partner of the same round. Raises ValueError when their rounds differ in number."""
    return Spread(tuple(a / b for a, b in zip(above.values, below.values, strict=True)))


def ratio_of_medians(above: Spread, below: Spread) -> Spread:
    """For measurements that were not taken in pairs."""
    return Spread((above.median / below.median,))


def steps(values: Sequence[float]) -> list[float]:
    """How much each value is above the one before."""
    return [after - before for before, after in itertools.pairwise(values)]


@dataclass(frozen=True)
class Goal:
    """A figure and what it should be: at least or at most `bound`, or nothing in particular when that is None."""

    name: str
    figure: Spread
    bound: float | None = None
    at_least: bool = False
    unit: str = ""
    digits: int = 2

    @property
    def met(self) -> bool | None:
        """Is the median good enough? None where nothing is wanted of it."""
        return None if self.bound is None else self._good(self.figure.median)

    @property
    def clear(self) -> bool:
        """Does every round agree with the median?"""
        return self.bound is None or len({self._good(value) for value in self.figure.values}) == 1

    def _good(self, value: float) -> bool:
        bound = self.bound or 0.0
        return value >= bound if self.at_least else value <= bound

    @property
    def wanted(self) -> str:
        """The bound in words."""
        return "" if self.bound is None else f"{'≥' if self.at_least else '≤'} {self.bound:g}{self.unit}"

    def to_json(self) -> dict[str, object]:
        """Everything."""
        return {"name": self.name, **self.figure.to_json(), "wanted": self.wanted, "met": self.met, "clear": self.clear}
