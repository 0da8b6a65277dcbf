"""Scores that mean what they say: temperature scaling and the calibration error."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """float (n, labels) -> probabilities of the same shape."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """The divisor of the logits with the least log loss (Guo et al. 2017, arXiv:1706.04599).

    logits: float (n, labels); truth: int (n,).
    """
    candidates = np.exp(np.linspace(np.log(0.2), np.log(5.0), 600))
    losses = [-np.log(softmax(logits / t)[np.arange(len(truth)), truth] + 1e-12).mean() for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def expected_error(scores: np.ndarray, truth: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error of the winning label's score, in `bins` equal steps from 0 to 1 (same paper).

    scores: float (n, labels); truth: int (n,).
    """
    confidence, right = scores.max(1), scores.argmax(1) == truth
    slot = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(right[slot == s].mean() - confidence[slot == s].mean()) * (slot == s).mean()
        for s in range(bins)
        if (slot == s).any()
    ]
    return float(sum(gaps))


def cross_fitted_error(logits: np.ndarray, truth: np.ndarray) -> float:
    """Calibration error where each half is scaled by the temperature fitted on the other half.

    The plain figure on photos that also chose the temperature would flatter.
    """
    halves = np.arange(len(truth)) % 2
    scores = np.empty_like(logits)
    for half in (0, 1):
        scores[halves == half] = softmax(
            logits[halves == half] / fit_temperature(logits[halves != half], truth[halves != half])
        )
    return expected_error(scores, truth)
