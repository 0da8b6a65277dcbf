"""Nested lists to arrays: what is right comes out as it went in, what is wrong is found, whatever it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.payloads.values import BadValues, to_array

pytestmark = pytest.mark.unit

DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["bool", "string"]

json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=20,
)


def place(number: int) -> str:
    return f"instances[{number}]"


def of_dtype(dtype: str) -> st.SearchStrategy[Any]:
    if dtype == "string":
        return st.text(max_size=8)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return st.booleans()
    if kind.kind == "f":
        return st.floats(width=kind.itemsize * 8, allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]
    return st.integers(int(np.iinfo(kind).min), int(np.iinfo(kind).max))


def in_lists(values: st.SearchStrategy[Any], sizes: tuple[int, ...]) -> st.SearchStrategy[Any]:
    for size in reversed(sizes):
        values = st.lists(values, min_size=size, max_size=size)
    return values


@st.composite
def valid(draw: st.DrawFn) -> tuple[list[Any], str, tuple[int | None, ...]]:
    """Values of some dtype and shape, of which some sizes may vary."""
    dtype = draw(st.sampled_from(DTYPES))
    sizes = tuple(draw(st.lists(st.integers(1, 3), max_size=3)))
    values = draw(in_lists(of_dtype(dtype), (draw(st.integers(1, 3)), *sizes)))
    varies = draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    return values, dtype, (None, *(None if v else size for v, size in zip(varies, sizes, strict=True)))


@given(valid())
def test_what_is_right_comes_out_as_it_went_in(case: tuple[list[Any], str, tuple[int | None, ...]]) -> None:
    values, dtype, shape = case
    array = to_array(values, dtype, shape, place)
    assert array.dtype == np.dtype(object if dtype == "string" else dtype)
    assert array.ndim == len(shape)
    assert array.tolist() == values


@given(
    st.lists(json_values, min_size=1, max_size=4),
    st.sampled_from(DTYPES),
    st.lists(st.none() | st.integers(1, 3), max_size=3),
)
def test_anything_is_taken_or_refused_with_a_place(values: list[Any], dtype: str, shape: list[int | None]) -> None:
    try:
        array = to_array(values, dtype, [None, *shape], place)
        assert array.ndim == 1 + len(shape)
        rounded = np.array(values, array.dtype) if array.dtype.kind == "f" else None  # as every parser of floats does
        assert array.tolist() == (values if rounded is None else rounded.tolist())
        problems = ["instances[0]"]
    except BadValues as bad:
        problems = bad.problems
    assert problems
    assert all(problem.startswith("instances[") for problem in problems)


def test_whole_floats_are_integers_and_fractions_are_not() -> None:
    assert to_array([1.0, -2.0, 3], "int32", [None], place).tolist() == [1, -2, 3]
    with pytest.raises(BadValues, match=r"instances\[1\] is 0.5, not an integer from -2147483648 to 2147483647"):
        to_array([1.0, 0.5], "int32", [None], place)


def test_integers_are_exact_beyond_what_a_double_holds() -> None:
    assert to_array([2**63 - 1, 2**53 + 1], "int64", [None], place).tolist() == [2**63 - 1, 2**53 + 1]


def test_text_may_end_in_zeros() -> None:
    assert to_array(["a\0", ""], "string", [None], place).tolist() == ["a\0", ""]


def test_a_number_too_small_for_the_dtype_is_zero() -> None:
    assert to_array([1e-300], "float32", [None], place).tolist() == [0.0]


def test_the_first_instance_sets_the_size_that_varies() -> None:
    with pytest.raises(BadValues) as caught:
        to_array([[[1], [2]], [[1]], [[1, 2], [3, 4]], []], "int32", [None, None, None], place)
    assert caught.value.problems == [
        "instances[1] is a list of 1 where the first has 2; one request takes one size",
        "instances[2][0] is a list of 2 where the first has 1; one request takes one size",
        "instances[3] is an empty list",
    ]
