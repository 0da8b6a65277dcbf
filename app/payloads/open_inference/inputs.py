"""What was sent -> what the model takes: every input by its name, of its datatype and shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from model.errors import PictureError
from model.store import Model

from ...settings import Settings
from ..pictures import from_base64
from ..values import BadValues, to_array
from . import strings
from .datatypes import BYTES, HALF, listed, named, sizes, takes_pictures, wire
from .request import Asked, Given, refuse, refuse_all


def tensors(asked: Asked, model: Model, settings: Settings) -> list[np.ndarray]:
    """The inputs of a model, in the bundle's order; their first axis is the batch, at least one. Binary numbers are
    not copied: they lie in the body, read-only.

    Raises RequestError 400 with every problem at once.
    """
    given = _by_name(asked, model)
    problems: list[str] = []
    for tensor in model.bundle.inputs:
        problems += _misshapen(given[tensor.name], tensor.dtype, sizes(tensor.shape), model.bundle.name)
    if not problems:
        problems += _batch(list(given.values()), model.bundle.name, settings.max_instances)
    if problems:
        refuse_all("bad_inputs", problems)
    found = []
    for tensor in model.bundle.inputs:
        try:
            found.append(_array(given[tensor.name], tensor.dtype, model.bundle.name))
        except BadValues as bad:
            problems += bad.problems
        except ValueError as bad:
            problems.append(str(bad))
    if problems:
        refuse_all("bad_inputs", problems)
    return found


def pictures(asked: Asked, model: Model, settings: Settings) -> list[bytes] | None:
    """The encoded pictures that were sent as BYTES to a model that makes its input of them; None where the client
    sent something else. In JSON, which holds text alone, they are base64.

    Raises RequestError 400.
    """
    if not takes_pictures(model) or not any(given.datatype == BYTES for given in asked.inputs):
        return None
    name = model.bundle.name
    given = _by_name(asked, model)[model.bundle.inputs[0].name]
    expected = [-1, 1] if len(given.shape) == 2 else [-1]  # clients of fixed ranks have the former
    problems = _misshapen(given, "string", expected, name) or _batch([given], name, settings.max_images)
    if problems:
        refuse_all("bad_inputs", problems)
    try:
        if given.content is not None:
            return strings.unpack(given.content, given.shape[0], given.name)
        texts = _array(given, "string", name).ravel()
    except ValueError as bad:
        refuse("bad_inputs", str(bad))
    found = []
    for number, text in enumerate(texts):
        try:
            found.append(from_base64({"b64": text}))
        except ValueError as bad:
            problems.append(f"input '{given.name}': data[{number}] {bad}; a picture in JSON is text in base64")
    if problems:
        refuse_all("bad_base64", problems)
    return found


def raw(body: bytes, model: Model) -> Asked:
    """A body that is nothing but the one input of a model, a batch of one -> the request that it stands for. Of a
    model that takes pictures it is an encoded picture, or else the tensor that is made of one.

    Raises RequestError 400 where the model has another number of inputs, or a size that its bytes do not tell.
    """
    bundle = model.bundle
    if len(bundle.inputs) != 1:
        count = len(bundle.inputs)
        refuse(
            "bad_inputs", f"Raw request must only have 1 input (found {count}) to be deduced for model '{bundle.name}'"
        )
    [tensor] = bundle.inputs
    if takes_pictures(model) and not _is_tensor(body, model):
        return _raw_element(tensor.name, 1, body)
    inner, shown = tensor.shape[1:], listed(sizes(tensor.shape))
    if tensor.dtype == "string":
        if any(size not in (None, 1) for size in inner):
            refuse("bad_inputs", f"For BYTES datatype raw input, the model must have input shape [1]; it has {shown}")
        return _raw_element(tensor.name, len(tensor.shape), body)
    if inner.count(None) > 1:
        refuse(
            "bad_inputs", f"For raw input, there are more than one variable-sized dimension in {shown}; send its shape"
        )
    known = wire(tensor.dtype).itemsize * math.prod(size for size in inner if size is not None)
    varies = max(1, len(body) // max(1, known))
    shape = (1, *(varies if size is None else size for size in inner))
    return Asked([Given(tensor.name, named(tensor.dtype), shape, content=memoryview(body))], binary=True)


def _is_tensor(body: bytes, model: Model) -> bool:
    """Whether a raw body to a model of pictures has exactly the bytes of one instance's tensor, and is no picture."""
    [tensor] = model.bundle.inputs
    if len(body) != wire(tensor.dtype).itemsize * math.prod(size or 0 for size in tensor.shape[1:]):
        return False
    try:
        model.prepare([body])
    except PictureError:
        return True
    return False


def _raw_element(name: str, rank: int, body: bytes) -> Asked:
    """The one element of a batch of one."""
    content = memoryview(strings.pack([body]))
    return Asked([Given(name, BYTES, (1,) * rank, content=content)], binary=True)


def _by_name(asked: Asked, model: Model) -> dict[str, Given]:
    """Raises RequestError 400 where these are not the model's inputs."""
    bundle = model.bundle
    wanted = [tensor.name for tensor in bundle.inputs]
    given = {one.name: one for one in asked.inputs}
    missing = [name for name in wanted if name not in given]
    unknown = [name[:100] for name in given if name not in wanted]
    problems = [f"unexpected inference input '{name}' for model '{bundle.name}'" for name in unknown]
    if missing:
        counts = f"expected {len(wanted)} inputs but got {len(given)} inputs for model '{bundle.name}'. "
        names = f"Got inputs {[name[:100] for name in given][:20]}, but missing required inputs {missing}."
        told = (counts if len(given) != len(wanted) else "") + names
        problems.insert(0, f"{told} Please provide all of them")
    if problems:
        refuse_all("bad_inputs", problems)
    return given


def _misshapen(given: Given, dtype: str, expected: Sequence[int], model: str) -> list[str]:
    """What is wrong with its datatype and shape."""
    problems, shape, datatype = [], given.shape, named(dtype)
    if given.datatype != datatype:
        problems.append(
            f"inference input '{given.name}' data-type is '{given.datatype[:20]}', but model '{model}' expects "
            f"'{datatype}'"
        )
    if not shape:
        problems.append(f"input '{given.name}' has no shape but model requires batch dimension for '{model}'")
    elif len(shape) != len(expected) or any(size != wanted != -1 for size, wanted in zip(shape, expected, strict=True)):
        problems.append(
            f"unexpected shape for input '{given.name}' for model '{model}'. Expected {listed(expected)}, got "
            f"{listed(shape[:20])}"
        )
    elif 0 in shape:
        problems.append(f"input '{given.name}' has no elements: its shape is {listed(shape)}; each size is 1 at least")
    return problems


def _batch(given: Sequence[Given], model: str, most: int) -> list[str]:
    """What is wrong with the size of the batch."""
    size = given[0].shape[0]
    problems = [
        f"input '{one.name}' batch size does not match other inputs for '{model}'"
        for one in given[1:]
        if one.shape[0] != size
    ]
    if max(one.shape[0] for one in given) > most:
        problems.append(f"inference request batch-size must be <= {most} for '{model}'")
    return problems


def _array(given: Given, dtype: str, model: str) -> np.ndarray:
    """Of the form that was checked. Raises ValueError, or BadValues, where the data does not fit it."""
    count = math.prod(given.shape)
    if given.content is None:
        return _from_json(given, count, dtype)
    if dtype == "string":
        elements = strings.unpack(given.content, count, given.name)
        values = np.empty(len(elements), object)  # after they are known to be there
        values[:] = elements
        return values.reshape(given.shape)
    kind = wire(dtype)
    if len(given.content) != count * kind.itemsize:
        raise ValueError(
            f"input byte size mismatch for input '{given.name}' for model '{model}'. Expected {count * kind.itemsize}, "
            f"got {len(given.content)}"
        )
    if dtype == "bool" and np.frombuffer(given.content, np.uint8).max() > 1:
        raise ValueError(f"input '{given.name}' of datatype BOOL holds a byte that is neither 0 nor 1")
    return np.frombuffer(given.content, kind).reshape(given.shape)


def _from_json(given: Given, count: int, dtype: str) -> np.ndarray:
    values: list[Any] = given.data or []
    if named(dtype) == HALF:
        raise ValueError(
            f"receiving FP16 data via JSON is not supported. Please use the binary data format for input '{given.name}'"
        )
    nested = len(given.shape) > 1 and bool(values) and isinstance(values[0], list)
    length = given.shape[0] if nested else count
    if len(values) != length:
        raise ValueError(
            f"Unable to parse 'data': Shape does not match true shape of 'data' field of input '{given.name}': it has "
            f"{len(values)} elements where {listed(given.shape)} makes {length}"
        )
    form = given.shape if nested else (count,)
    return to_array(values, dtype, form, lambda number: f"input '{given.name}': data[{number}]").reshape(given.shape)
