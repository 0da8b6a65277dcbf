"""A classify or regress request -> what the model takes: examples, each with its features by name of input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from model.store import Model

from ...settings import Settings
from ..values import BadValues, to_array
from .faults import bad, shown
from .rows import Asked, check_count
from .values import Fault, decoded, is_base64, text_of

_KINDS = {bool: "int64", int: "int64", float: "float", str: "bytes", bytes: "bytes"}
_LARGEST = 2**63 - 1


def features(document: dict[str, Any], most: int) -> list[dict[str, list[Any]]]:
    """The features of each of at most so many examples, those of the context among them. Raises RequestError 400.

    A value is a bool, int, float, str or, of base64, bytes; those of one feature are of one kind.
    """
    context = _features(document["context"]) if "context" in document else {}
    if "examples" not in document:
        raise _wrong(document, "When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise _wrong(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise _wrong(document, "'examples' value is an empty array")
    check_count(len(examples), "examples", most)
    return [context | _features(example) for example in examples]


def to_inputs(examples: list[dict[str, list[Any]]], model: Model, settings: Settings) -> Asked:
    """As the model takes it. A feature that is not an input counts for nothing. Raises RequestError 400."""
    first, *_ = model.bundle.inputs
    if model.bundle.preprocessing is not None and isinstance((examples[0].get(first.name) or [0])[0], (str, bytes)):
        check_count(len(examples), "images", settings.max_images)
        return Asked(True, [_picture(first.name, value) for [value] in _column(examples, first.name, "string", 1)], ())
    return Asked(True, [], tuple(_array(examples, t.name, t.dtype, t.shape) for t in model.bundle.inputs))


def _features(example: Any) -> dict[str, list[Any]]:
    if not isinstance(example, dict):
        raise bad(f"Example must be JSON object but got JSON {_type(example)}")
    return {
        name: _of_one_kind(name, content if isinstance(content, list) else [content])
        for name, content in example.items()
    }


def _of_one_kind(name: str, content: list[Any]) -> list[Any]:
    values = [_value(name, value) for value in content]
    kinds = list(dict.fromkeys(_KINDS[type(value)] for value in values))
    if len(kinds) > 1:
        raise bad(f"Unexpected element type in feature: {name[:100]} expecting type: {kinds[0]}")
    return values


def _value(name: str, value: Any) -> Any:
    if is_base64(value):
        try:
            return text_of(value)
        except Fault as fault:
            raise bad(str(fault), "bad_base64") from fault
    if type(value) not in _KINDS:
        raise bad(f"Feature: {name[:100]} has element with unexpected JSON type: {_type(value)}")
    if type(value) is int and value > _LARGEST:
        raise bad(f"Feature: {name[:100]} has uint64 element. Only int64_t is supported.")
    return value


def _column(examples: list[dict[str, list[Any]]], name: str, dtype: str, count: int | None) -> list[list[Any]]:
    """The values of one feature in each example, so many of them; as many as in the first where that is None."""
    columns = []
    for example in examples:
        if not (values := example.get(name)):
            raise bad(f"Feature: {name} (data type: {dtype}) is required but could not be found.")
        columns.append(values)
    wanted = count or len(columns[0])
    if wrong := next((values for values in columns if len(values) != wanted), None):
        raise bad(
            f"Key: {name}. Number of {dtype} values != expected. values size: {len(wrong)} but expected: {wanted}"
        )
    return columns


def _picture(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise bad(f"Key: {name}. Data types don't match. Data type: {_KINDS[type(value)]} but expected type: string")
    return value


def _array(examples: list[dict[str, list[Any]]], name: str, dtype: str, shape: tuple[int | None, ...]) -> np.ndarray:
    sizes = [-1 if size is None else size for size in shape[1:]]
    fixed = math.prod(size for size in sizes if size > 0)
    if sizes.count(-1) > 1:
        raise bad(f"Key: {name}. Its shape has several sizes that vary, which no list of values tells. Use predict.")
    columns = _column(examples, name, dtype, None if -1 in sizes else fixed)
    if len(columns[0]) % fixed:
        raise bad(f"Key: {name}. Number of {dtype} values must be a multiple of {fixed}, not {len(columns[0])}")
    if dtype == "string":
        columns = [[decoded(value) for value in values] for values in columns]
    elif dtype == "bool":
        columns = [[bool(value) if value in (0, 1) else value for value in values] for values in columns]
    else:
        columns = [[int(value) if value is True or value is False else value for value in values] for values in columns]
    try:
        return to_array(columns, dtype, (None, None), f"examples[{{}}].{name}".format).reshape(len(columns), *sizes)
    except BadValues as faults:
        raise bad(f"Key: {name}. Data types don't match. {'; '.join(faults.problems)}") from faults


def _type(value: Any) -> str:
    kinds = {type(None): "Null", bool: str(value), dict: "Object", list: "Array", str: "String"}
    return kinds.get(type(value), "Number")


def _wrong(document: dict[str, Any], message: str) -> Exception:
    return bad(f"JSON Value: {shown(document)} {message}")
