"""Values of one input -> an array, by TensorFlow Serving's rules of types and shapes, with its messages.

The conversion is that of ../values.py. What it refuses is looked through again, value by value, for the first fault
that the original would name.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from ..values import BadValues, to_array
from .faults import shown

_DEEPEST = 32  # NumPy's own limit, and far beyond any model's
_NAMES = {"float16": "half", "float32": "float", "float64": "double"}  # of TensorFlow; the others are NumPy's
_INT32 = (-(2**31), 2**31 - 1)
_RANGES = {
    "int8": _INT32,
    "int16": _INT32,
    "int32": _INT32,
    "uint8": _INT32,
    "uint16": _INT32,
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}


class Fault(ValueError):
    """A value that an input does not take; the original's INVALID_ARGUMENT."""


def is_base64(value: Any) -> bool:
    """Is it an object with nothing but b64, which is text?"""
    return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def from_base64(text: str) -> bytes:
    """Of the standard alphabet, padded or not; blanks count for nothing. Raises Fault."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        bare = "".join(text.split()).rstrip("=")
    try:
        return binascii.a2b_base64(bare + "=" * (-len(bare) % 4), strict_mode=True)
    except ValueError as fault:
        raise Fault("Unable to base64 decode") from fault


def shape_of(value: Any, dtype: str) -> tuple[int, ...]:
    """The shape of a value, lists in lists, that holds nothing but what the dtype takes. Raises Fault."""
    shape, inner = [], value
    while type(inner) is list:
        shape.append(len(inner))
        inner = inner[0] if inner else None
        if len(shape) > _DEEPEST:
            raise Fault(f"Encountered list at unexpected level: {_DEEPEST} expected < {_DEEPEST}")
    _check(value, 0, shape, dtype)
    return tuple(shape)


def text_of(value: Any) -> str | bytes:
    """A value of a string input. Raises Fault."""
    if type(value) is str:
        return value
    if type(value) is not dict:
        raise _type_fault(value, "string")
    if not is_base64(value):
        raise Fault(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    return from_base64(value["b64"])


def decoded(value: Any) -> Any:
    """Bytes that are UTF-8 as the text that they are; everything else as it is."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def convert(
    values: list[Any],
    dtype: str,
    shape: Sequence[int | None],
    explain: Callable[[], None],
    place: Callable[[int], str],
) -> np.ndarray:
    """One value for each instance, at least one -> an array of `dtype`; text is Python's strings, or bytes.

    explain: called where something is wrong with a value, to raise what the original would. shape, place: as in
    `to_array`. Raises what `explain` does, or Fault where the values are good and do not suit the model.
    """
    if dtype == "string" and set(map(type, values)) != {str}:
        explain()
        return _texts(values, shape)
    if dtype in _RANGES and float in _types(values):
        explain()  # 1.0 is no integer here
    try:
        return to_array(values, dtype, shape, place)
    except BadValues as bad:
        explain()
        array = _not_finite(values, dtype, shape)
        if array is None:
            raise Fault("; ".join(bad.problems)) from bad
        return array


def _check(value: Any, level: int, shape: list[int], dtype: str) -> None:
    if type(value) is not list:
        if level != len(shape):
            raise Fault(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        _check_one(value, dtype)
        return
    if level >= len(shape):
        raise Fault(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise Fault(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for inner in value:
        _check(inner, level + 1, shape, dtype)


def _check_one(value: Any, dtype: str) -> None:
    kind = type(value)
    if dtype == "string":
        text_of(value)
    elif dtype == "bool":
        if kind is not bool:
            raise _type_fault(value, dtype)
    elif dtype in _RANGES:
        low, high = _RANGES[dtype]
        if kind is not int or not low <= value <= high:
            raise _type_fault(value, dtype)
    elif kind is not int and kind is not float:
        raise _type_fault(value, dtype)
    elif math.isfinite(value) and abs(value) > float(np.finfo(dtype).max):
        raise Fault(f"Cannot convert JSON value: {shown(value)} to {_NAMES[dtype]} without loss of precision.")


def _type_fault(value: Any, dtype: str) -> Fault:
    kind = {type(None): "Null", bool: str(value), dict: "Object", list: "Array", str: "String"}.get(
        type(value), "Number"
    )
    return Fault(f"JSON Value: {shown(value)} Type: {kind} is not of expected type: {_NAMES.get(dtype, dtype)}")


def _types(values: list[Any]) -> set[type]:
    """Of all that is in the lists, at C's speed; for lists that are mixed with values, those of the upper ones."""
    found = set(map(type, values))
    while found == {list}:
        values = list(chain.from_iterable(values))
        found = set(map(type, values))
    return found


def _not_finite(values: list[Any], dtype: str, declared: Sequence[int | None]) -> np.ndarray | None:
    """Numbers among which there are NaN and Infinity -> an array; None where something else is wrong with them."""
    if not dtype.startswith("float"):
        return None
    array = np.array(values, np.float64)
    return array.astype(dtype) if _fits(array.shape, declared) else None


def _texts(values: list[Any], declared: Sequence[int | None]) -> np.ndarray:
    """Values of which each has been looked at, among them b64 objects or lists, -> an array of text."""
    shape = (len(values), *shape_of(values[0], "string"))
    if not _fits(shape, declared):
        wanted = ",".join("?" if size is None else str(size) for size in declared)
        raise Fault(f"Expecting shape [{wanted}] but got: [{','.join(map(str, shape))}]")
    for _ in shape[1:]:
        values = list(chain.from_iterable(values))
    array = np.empty(len(values), object)
    array[:] = [decoded(text_of(value)) for value in values]
    return array.reshape(shape)


def _fits(shape: Sequence[int], declared: Sequence[int | None]) -> bool:
    """Is it a shape that the declared one allows? The batch, which comes first, may have any size but zero."""
    return len(shape) == len(declared) and all(
        size and wanted in (size, None) for size, wanted in zip(shape, (None, *declared[1:]), strict=True)
    )
