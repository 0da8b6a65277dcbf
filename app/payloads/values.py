"""Nested JSON lists -> an array, strictly: what is ragged, of another kind or out of range is named by its place.

NumPy alone would take text for numbers, cut 1.5 to 1, make true a 1 and null a NaN. So each level of lists is checked
for its lengths, the values for their types, and only then are they converted, all of it at the speed of C. Which one
is wrong is searched for where something is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from .instances import MOST_PROBLEMS

Place = Callable[[int], str]


class BadValues(ValueError):
    """Values that an input does not take. problems: each with the place of the value, MOST_PROBLEMS of them at most."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(islice(problems, MOST_PROBLEMS))
        super().__init__("; ".join(self.problems))


class _Kind(NamedTuple):
    """What a client may send for a kind of dtype: JSON's types, and bytes, which some protocols have in base64."""

    types: frozenset[type]
    word: str


_NUMBER = _Kind(frozenset({int, float}), "a number")
_KINDS = {
    "f": _NUMBER,
    "i": _NUMBER,  # 1.0 is an integer in JSON; 1.5 is refused below
    "u": _NUMBER,
    "b": _Kind(frozenset({bool}), "true or false"),
    "O": _Kind(frozenset({str, bytes}), "text"),
}
_WORDS = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    bytes: "text",
    list: "a list",
}


def to_array(values: list[Any], dtype: str, shape: Sequence[int | None], place: Place) -> np.ndarray:
    """One value for each instance, at least one -> an array of `dtype`, text as Python's strings or bytes.

    shape: that of the input, the batch first; None takes any size, the same one in the whole request.
    place: the name of an instance's value, for messages: 3 -> "instances[3]".
    Raises BadValues.
    """
    kind = _KINDS[_numpy(dtype).kind]
    flat, sizes = values, [len(values)]
    for size in shape[1:]:
        lengths = set(map(len, flat)) if set(map(type, flat)) == {list} else set()
        if len(lengths) != 1 or 0 in lengths or (size is not None and size not in lengths):
            raise BadValues(_faults(values, shape, kind, place))
        sizes += lengths
        flat = list(chain.from_iterable(flat))
    types = set(map(type, flat))
    if not kind.types >= types:
        raise BadValues(_faults(values, shape, kind, place))
    return _converted(flat, types, _numpy(dtype), tuple(sizes), place).reshape(sizes)


def _numpy(dtype: str) -> np.dtype[Any]:
    return np.dtype(object if dtype == "string" else dtype)


def _converted(
    flat: list[Any], types: set[type], dtype: np.dtype[Any], sizes: tuple[int, ...], place: Place
) -> np.ndarray:
    """Values of the right types -> a flat array. Raises BadValues for those that the dtype cannot hold."""
    if dtype.kind == "f":
        wide = np.array(flat, np.float64)  # JSON's own numbers
        with np.errstate(over="ignore"):
            array = wide.astype(dtype)
        if np.isfinite(array).all():
            return array
        wrong: Iterable[int] = np.flatnonzero(~np.isfinite(array)).tolist()
    elif dtype.kind in "iu":
        try:
            return np.array([_integer(value) for value in flat] if float in types else flat, dtype)
        except (OverflowError, ValueError):
            wrong = (index for index, value in enumerate(flat) if not _fits(value, dtype))
    else:
        return np.array(flat, dtype)
    raise BadValues(f"{_path(index, sizes, place)} is {flat[index]}, not {_range(dtype)}" for index in wrong)


def _integer(value: float) -> int:
    if value % 1:
        raise ValueError("not an integer")
    return int(value)


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return not value % 1 and int(limits.min) <= value <= int(limits.max)


def _range(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return f"within {dtype} (up to {float(np.finfo(dtype).max):.3g})"
    limits = np.iinfo(dtype)
    return f"an integer from {limits.min} to {limits.max}"


def _path(index: int, sizes: tuple[int, ...], place: Place) -> str:
    """The place of a value in the flat list."""
    first, *others = (int(number) for number in np.unravel_index(index, sizes))
    return place(first) + "".join(f"[{number}]" for number in others)


def _faults(values: list[Any], shape: Sequence[int | None], kind: _Kind, place: Place) -> Iterator[str]:
    """The first fault of each instance that has one. Sizes that may vary are held against the first instance's."""
    expected = []
    sample: Any = values
    for size in shape[1:]:
        sample = sample[0] if isinstance(sample, list) and sample else None
        expected.append(_Size(size, len(sample) if isinstance(sample, list) else 0))
    for number, value in enumerate(values):
        fault = _fault(value, expected, kind)
        if fault:
            yield place(number) + fault


class _Size(NamedTuple):
    """Of a list: as declared, or, where that is None, as it is in the first instance."""

    declared: int | None
    first: int

    def fault(self, length: int) -> str:
        """What is wrong with a length; empty where nothing is."""
        if self.declared is not None:
            return f" is a list of {length} where {self.declared} belong" if length != self.declared else ""
        if not length:
            return " is an empty list"
        same = length == self.first or not self.first
        return "" if same else f" is a list of {length} where the first has {self.first}; one request takes one size"


def _fault(value: Any, sizes: Sequence[_Size], kind: _Kind) -> str:
    if not sizes:
        return "" if type(value) in kind.types else f" is {_word(value)} where {kind.word} belongs"
    if not isinstance(value, list):
        return f" is {_word(value)} where a list belongs"
    if problem := sizes[0].fault(len(value)):
        return problem
    found = ((index, _fault(inner, sizes[1:], kind)) for index, inner in enumerate(value))
    return next((f"[{index}]{fault}" for index, fault in found if fault), "")


def _word(value: Any) -> str:
    return _WORDS.get(type(value), "an object")
