"""TensorFlow Serving's rows ("instances") and columns ("inputs"): to the inputs of a model, and from its outputs."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Any

import numpy as np

from model.store import Model

from ..errors import RequestError
from ..predictions import decode, plain
from ..settings import Settings
from ..telemetry.timing import Timing
from .instances import MOST_PROBLEMS
from .pictures import from_base64
from .values import BadValues, to_array

Inputs = tuple[np.ndarray, ...]
ROW, COLUMN = "instances", "inputs"


def read(data: Any, model: Model, settings: Settings, timing: Timing) -> Inputs:
    """What "instances" or "inputs" of a JSON object say -> a model's inputs, in the bundle's order, the batch first.

    A model that takes pictures takes them as {"b64": "..."}, or the tensor that its network takes as numbers.
    Raises RequestError 400, and the PictureError of a picture that cannot be used.
    """
    key = form(data)
    columns = _of_rows(data[ROW], model) if key == ROW else _of_columns(data[COLUMN], model)
    inputs, problems = [], []
    for tensor, values in zip(model.bundle.inputs, columns, strict=True):
        if not values:
            raise _bad(f"No values in '{key}' array")
        _check_count(len(values), settings.max_instances)
        try:
            if model.bundle.preprocessing is not None and any(map(_is_b64, values)):
                inputs.append(decode(model, _pictures(values, key, settings), timing))
            else:
                if tensor.dtype == "string":
                    values = [_text(value) for value in values]
                inputs.append(to_array(values, tensor.dtype, tensor.shape, _place(key, tensor.name)))
        except BadValues as bad:
            problems += bad.problems
    if problems:
        raise _bad("; ".join(problems[:MOST_PROBLEMS]))
    sizes = [len(values) for values in inputs]
    if len(set(sizes)) > 1:
        raise _bad(f"The inputs have inconsistent batch sizes: {', '.join(map(str, sizes))}")
    return tuple(inputs)


def form(data: Any) -> str:
    """ROW or COLUMN. Raises RequestError 400 where it is neither, or both."""
    if not isinstance(data, dict):
        raise _bad("JSON Value: Is not object")
    if ROW in data and COLUMN in data:
        raise _bad("JSON Value: expecting only one of 'inputs' or 'instances' keys to exist")
    if ROW not in data and COLUMN not in data:
        raise _bad("Missing 'inputs' or 'instances' key")
    if ROW in data and not isinstance(data[ROW], list):
        raise _bad("Expecting 'instances' to be an list/array")
    return ROW if ROW in data else COLUMN


def rendered(key: str, model: Model, outputs: Inputs) -> dict[str, Any]:
    """The answer to what came in rows or in columns, for orjson with OPT_SERIALIZE_NUMPY."""
    names = [tensor.name for tensor in model.bundle.outputs]
    if key == ROW:
        return {"predictions": plain(names, outputs)}
    columns = [plain([name], (values,)) for name, values in zip(names, outputs, strict=True)]
    return {"outputs": columns[0] if len(columns) == 1 else dict(zip(names, columns, strict=True))}


def _of_rows(instances: list[Any], model: Model) -> list[list[Any]]:
    """The values of each input. An instance is an object with one for each, or the value itself of the one input."""
    names = [tensor.name for tensor in model.bundle.inputs]
    named = bool(instances) and _is_object(instances[0])
    for number, instance in enumerate(instances):
        if _is_object(instance) != named:
            wanted, got = ("object", "list") if named else ("value/list", "object")
            raise _bad(f"Expecting {wanted} but got {got} at item {number} of input list")
    if not named:
        if len(names) > 1:
            raise _bad("instances is a plain list, but expecting list of objects as multiple input tensors required")
        return [instances]
    for number, instance in enumerate(instances):
        for name in instance:
            if name not in names:
                raise _bad(
                    f"Failed to process element: {number} key: {name[:100]} of 'instances' list. Error: "
                    f"INVALID_ARGUMENT: JSON object: does not have named input: {name[:100]}"
                )
        if len(instance) < len(names):
            raise _bad(
                f"Failed to process element: {number} of 'instances' list. JSON object keys must be equal to: "
                f"{','.join(names)}"
            )
    return [[instance[name] for instance in instances] for name in names]


def _of_columns(inputs: Any, model: Model) -> list[list[Any]]:
    """The values of each input: an object of them by name, or the values themselves of the one input."""
    names = [tensor.name for tensor in model.bundle.inputs]
    if _is_object(inputs):
        missing = [name for name in names if name not in inputs]
        if missing:
            raise _bad(f"Missing named input: {missing[0]} in 'inputs' object.")
        columns = [inputs[name] for name in names]
    elif len(names) > 1:
        raise _bad("inputs is a plain value/list, but expecting an object as multiple input tensors required")
    else:
        columns = [inputs]
    for name, values in zip(names, columns, strict=True):
        if not isinstance(values, list):
            raise _bad(f"Input {name} is no list; its first axis is the batch")
    return columns


def _pictures(values: list[Any], key: str, settings: Settings) -> list[bytes]:
    _check_count(len(values), settings.max_images)
    pictures, problems = [], []
    for number, value in enumerate(values):
        try:
            pictures.append(from_base64(value))
        except binascii.Error:
            problems.append(f"{key}[{number}]: Unable to base64 decode")
        except ValueError as fault:
            problems.append(f"{key}[{number}] {fault}")
    if problems:
        raise _bad("; ".join(problems[:MOST_PROBLEMS]))
    return pictures


def _text(value: Any) -> Any:
    """A b64 object for a text stands for its bytes; they must be UTF-8."""
    if not _is_b64(value):
        return value
    try:
        return from_base64(value).decode()
    except ValueError as fault:
        raise _bad("Unable to base64 decode: a text must be base64 of UTF-8") from fault


def _is_b64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_b64(value)


def _place(key: str, name: str) -> Callable[[int], str]:
    return lambda number: f"{key}[{number}] of input {name}"


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise RequestError(400, "too_many_instances", f"{count} instances were sent; at most {most} are taken at once.")


def _bad(message: str) -> RequestError:
    return RequestError(400, "bad_instances", message)
