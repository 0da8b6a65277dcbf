"""Whether a model's answers are probabilities, and what makes some of logits."""

from __future__ import annotations

import numpy as np

ROUNDING = 1e-6  # by which a probability may miss 0 and 1


def usual(first: np.ndarray) -> str:
    """How the first output, (n, ...), becomes scores where nobody says it; see Bundle.

    Probabilities are scores, as are values that are no floats; anything else is taken for logits.
    """
    return "as_is" if first.dtype.kind != "f" or from_0_to_1(first) else of_logits(first)


def from_0_to_1(values: np.ndarray) -> bool:
    """Whether all numbers are, but for their rounding."""
    return bool(values.min(initial=0) >= -ROUNDING and values.max(initial=0) <= 1 + ROUNDING)


def of_logits(values: np.ndarray) -> str:
    """What makes scores of (n, logits): "sigmoid" of a single one, else "softmax"."""
    return "sigmoid" if values.shape[-1] == 1 else "softmax"
