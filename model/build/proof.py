"""A candidate's answers against Keras' own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import bundle as bundles

TOLERANCE = 1e-3  # of each output's largest answer


@dataclass(frozen=True)
class Comparison:
    """largest, mean: differences as parts of each output's largest answer. agreement: 0..1, or None where no output
    has several values to choose the largest of, or two labels in one. problem: why the answers cannot be compared, or
    nothing.
    """

    largest: float
    mean: float
    agreement: float | None
    problem: str = ""

    @property
    def proven(self) -> bool:
        """Whether the candidate answers as Keras does."""
        return not self.problem and self.largest <= TOLERANCE and self.agreement in (None, 1.0)


def compare(answers: Sequence[np.ndarray], wanted: Sequence[np.ndarray], middle: float | None = None) -> Comparison:
    """All outputs of all instances. Agreement is that of the first output of (n, values).

    middle: where the first output has one value for two labels, what it is above for the second.
    """
    for number, (answer, expected) in enumerate(zip(answers, wanted, strict=True)):
        if answer.shape != expected.shape:
            problem = f"output {number} has the shape {list(answer.shape)}, Keras' has {list(expected.shape)}"
            return Comparison(np.inf, np.inf, None, problem)
    differences = [bundles.differences(answer, expected) for answer, expected in zip(answers, wanted, strict=True)]
    several = next((number for number, values in enumerate(wanted) if _several(values)), None)
    agreement = None
    if middle is not None:
        agreement = float(bundles.agree(_both(answers[0], middle), _both(wanted[0], middle), TOLERANCE).mean())
    elif several is not None:
        agreement = float(bundles.agree(answers[several], wanted[several], TOLERANCE).mean())
    largest = float(np.max([values.max(initial=0) for values in differences]))
    return Comparison(largest, float(np.mean([values.mean() for values in differences])), agreement)


def _both(values: np.ndarray, middle: float) -> np.ndarray:
    """(n, 1) of the second label -> (n, 2) of both."""
    return np.concatenate([2 * middle - values, values], -1)


def _several(values: np.ndarray) -> bool:
    return values.ndim == 2 and values.shape[1] > 1 and values.dtype.kind == "f"
