"""What is taken for probabilities, and what for logits."""

from __future__ import annotations

import numpy as np
import pytest

from model.build import scores

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("values", "usual", "within"),
    [
        ([[0, 1]], "as_is", True),
        ([[-1e-7, 1 + 1e-7]], "as_is", True),
        ([[0.1, 1.0005]], "softmax", False),
        ([[-0.0005]], "sigmoid", False),
    ],
)
def test_probabilities_are_from_0_to_1_but_for_rounding(values: list[list[float]], usual: str, within: bool) -> None:
    first = np.array(values, np.float32)
    assert scores.usual(first) == usual
    assert scores.from_0_to_1(first) is within


def test_whole_numbers_are_answered_as_they_are() -> None:
    assert scores.usual(np.array([[3, 0]])) == "as_is"
