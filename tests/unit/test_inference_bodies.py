"""Bodies of the Open Inference Protocol V2: what is made is read back, and what lies is refused, never worse."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import RequestError
from app.payloads.open_inference import strings
from app.payloads.open_inference.datatypes import DATATYPES, named, sizes, wire
from app.payloads.open_inference.request import json_size, read

pytestmark = pytest.mark.unit
T = TypeVar("T")


def done(call: Callable[[], T], refusal: type[Exception]) -> T | None:
    """What a call returns; None where it refuses, and anything else that it raises fails the test."""
    try:
        return call()
    except refusal:
        return None


def test_every_datatype_has_its_size() -> None:
    sized = {named(dtype): wire(dtype).itemsize for dtype in ("bool", "uint8", "int16", "uint32", "int64", "float16")}
    assert sized == {"BOOL": 1, "UINT8": 1, "INT16": 2, "UINT32": 4, "INT64": 8, "FP16": 2}
    assert {named("float32"), named("float64"), named("string")} == {"FP32", "FP64", "BYTES"} < DATATYPES
    assert sizes((None, 3, None)) == sizes((8, 3, None)) == [-1, 3, -1]


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_strings_are_read_as_they_were_written(elements: list[bytes]) -> None:
    packed = strings.pack(elements)
    assert strings.unpack(memoryview(packed), len(elements), "x") == elements


@given(st.binary(max_size=60), st.integers(0, 5))
def test_strings_that_lie_are_refused(content: bytes, count: int) -> None:
    elements = done(lambda: strings.unpack(memoryview(content), count, "x"), ValueError)
    if elements is not None:
        assert strings.pack(elements) == content
        assert len(elements) == count


@given(st.text(max_size=25) | st.integers(-10, 300).map(str), st.integers(0, 200))
def test_lengths_of_json(header: str, size: int) -> None:
    found = done(lambda: json_size(header, size), RequestError)
    assert found is None or 0 <= found <= size
    assert json_size(None, size) == size


values = st.none() | st.booleans() | st.integers(-3, 2**64) | st.text(max_size=3) | st.lists(st.integers(), max_size=3)
inputs = st.dictionaries(
    st.sampled_from(["name", "shape", "datatype", "data", "parameters"]),
    values | st.dictionaries(st.sampled_from(["binary_data_size", "shared_memory_region"]), values),
)
requests = st.dictionaries(
    st.sampled_from(["id", "inputs", "outputs", "parameters"]), values | st.lists(inputs, max_size=3)
)


@settings(max_examples=500)
@given(requests, st.binary(max_size=20), st.integers(-2, 2))
def test_a_request_is_read_or_refused(request: Any, tail: bytes, wrong: int) -> None:
    content = json.dumps(request).encode()
    body = content + tail
    size = min(max(len(content) + wrong, 0), len(body))
    asked = done(lambda: read(body, size, "m"), RequestError)
    if asked is not None:
        assert sum(len(one.content) for one in asked.inputs if one.content is not None) == len(body) - size
        assert all(isinstance(one.data, list) == (one.content is None) for one in asked.inputs)


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=4))
def test_binary_data_is_cut_in_the_order_of_the_inputs_and_not_copied(parts: list[bytes]) -> None:
    entries = [
        {"name": str(number), "datatype": "UINT8", "shape": [len(part)], "parameters": {"binary_data_size": len(part)}}
        for number, part in enumerate(parts)
    ]
    head = json.dumps({"inputs": entries}).encode()
    body = head + b"".join(parts)
    asked = read(body, len(head), "m")
    assert [bytes(one.content or b"") for one in asked.inputs] == parts
    assert all(one.content is not None and one.content.obj is body for one in asked.inputs)
