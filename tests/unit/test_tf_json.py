"""TensorFlow Serving's JSON, part by part: what is read is what was written, and nothing breaks the parsers."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.errors import RequestError
from app.payloads import lines
from app.payloads.tf import document, render, values

pytestmark = pytest.mark.unit

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal, NaN too."""
    return json.dumps(one) == json.dumps(other)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), st.sampled_from(["", " ", "\n{", "]", "NaN"]))
def test_what_was_written_is_read_whatever_follows(content: dict[str, Any], tail: str) -> None:
    assert same(document.parse((json.dumps(content) + tail).encode()), content)


@given(st.binary(max_size=80) | st.text('{}[]",:0123456789.eE+-NaIinftyul\\ud8 ', max_size=80).map(str.encode))
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    with contextlib.suppress(RequestError):
        assert isinstance(document.parse(body), dict)


@given(VALUES, st.sampled_from(["", " \n", "\n{", "]", "NaN"]))
def test_where_a_value_must_stand_alone_nothing_may_follow(content: Any, tail: str) -> None:
    body = (json.dumps(content) + " " + tail).encode()
    if tail.strip():
        with pytest.raises(RequestError):
            document.value(body)
    else:
        assert same(document.value(body), content)


COLLECTIONS = st.lists(VALUES, max_size=3) | st.dictionaries(st.text(max_size=4), VALUES, max_size=3)


@given(st.lists(COLLECTIONS, min_size=2, max_size=4), st.sampled_from(["\n", "\r\n", " \n\n "]))
def test_values_one_a_line_are_an_instance_each(contents: list[Any], between: str) -> None:
    body = between.join(map(json.dumps, contents)) + "\n"
    assert same(lines.from_json(body.encode(), len(contents) + 1), {"instances": contents})


@given(VALUES)
def test_one_value_may_be_broken_over_lines(content: Any) -> None:
    compact, broken = (json.dumps(content, indent=indent).encode() for indent in (None, 1))
    assert same(lines.from_json(broken, 50), lines.from_json(compact, 50))


@given(st.binary(max_size=80), st.integers(0, 2000))
def test_gzip_never_gives_more_than_the_limit(content: bytes, limit: int) -> None:
    packed = gzip.compress(content * 20)
    if len(content) * 20 <= limit:
        assert document.unpacked(packed, "x, GZIP", limit) == content * 20
    else:
        with pytest.raises(RequestError, match="unpacks to more than"):
            document.unpacked(packed, "x, GZIP", limit)
    assert document.unpacked(content, "br", 0) == content


@given(st.binary(max_size=64), st.booleans(), st.booleans())
def test_base64_is_read_padded_or_not_and_in_lines(data: bytes, padded: bool, lines: bool) -> None:
    text = (base64.encodebytes(data) if lines else base64.b64encode(data)).decode()
    assert values.from_base64(text if padded else text.rstrip("=\n")) == data


@given(st.text(max_size=12))
def test_any_text_is_base64_or_refused(text: str) -> None:
    with contextlib.suppress(values.Fault):
        assert len(values.from_base64(text)) < max(1, len(text))


@pytest.mark.parametrize("text", ["_-8=", "a", "a===a", "é", "YQ==YQ=="])
def test_other_alphabets_are_refused(text: str) -> None:
    with pytest.raises(values.Fault, match="Unable to base64 decode"):
        values.from_base64(text)


def converted(content: list[Any], dtype: str, shape: tuple[int | None, ...]) -> np.ndarray:
    def explain() -> None:
        values.shape_of(content, dtype)

    return values.convert(content, dtype, shape, explain, "instances[{}]".format)


@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=1, max_dims=4, max_side=3)))
def test_any_array_is_read_as_it_was_written_and_written_as_it_was_read(array: np.ndarray) -> None:
    read = converted(array.tolist(), "float32", (None, *array.shape[1:]))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, array)
    finite = bool(np.isfinite(array).all())
    written = render.dumps(render.as_json("y", array, finite=finite), finite=finite)
    np.testing.assert_array_equal(np.array(json.loads(written), np.float32), array)


@given(VALUES, st.sampled_from(["float32", "int32", "int64", "uint8", "bool", "string"]), st.integers(0, 2))
def test_any_value_is_taken_or_refused(value: Any, dtype: str, rank: int) -> None:
    content = value if isinstance(value, list) and value else [value]
    try:
        array = converted(content, dtype, (None,) * (rank + 1))
    except values.Fault:
        pass
    else:
        assert array.ndim == rank + 1
        assert len(array) == len(content)


def test_numbers_are_written_with_the_fewest_digits_that_say_them() -> None:
    finite = np.array([3, 0.2, 9e6, 1 / 3], np.float32)
    assert render.numbers(finite) == b'{"results":[3.0,0.2,9000000.0,0.33333334]}'
    odd = np.array([0.2, math.nan, math.inf, -math.inf], np.float32)
    assert render.numbers(odd) == b'{"results":[0.2,NaN,Infinity,-Infinity]}'
