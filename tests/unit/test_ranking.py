"""The order of scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.ranking import best_first

pytestmark = pytest.mark.unit


@given(
    rows=arrays.arrays(
        st.sampled_from(["float32", "float64", "uint8", "int64"]), arrays.array_shapes(min_dims=2, max_dims=2)
    ),
    count=st.integers(1, 7),
)
def test_the_highest_come_first_and_of_equal_ones_the_lowest_index(rows: np.ndarray, count: int) -> None:
    for row, order in zip(rows, best_first(rows, count).tolist(), strict=True):
        values = row.tolist()
        key = [
            (0 if value != value else 1, -value if value == value else 0, index) for index, value in enumerate(values)
        ]
        assert order == [index for *_, index in sorted(key)][:count]
