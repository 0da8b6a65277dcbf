"""NumPy's file format <-> arrays. A head that lies is refused before any memory is taken for what it claims."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from model.store import Model

from ..errors import RequestError
from ..settings import Settings

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_TAKEN = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}  # kinds of dtype of an input -> kinds that it takes


def read_npy(body: bytes, model: Model, settings: Settings) -> tuple[np.ndarray, ...]:
    """An array of instances -> the model's one input. Raises RequestError 400."""
    inputs = model.bundle.inputs
    if len(inputs) > 1:
        raise _bad(f"The model has {len(inputs)} inputs and an array is one. Send JSON.")
    array, tensor = load(body), inputs[0]
    sizes = list(zip(array.shape[1:], tensor.shape[1:], strict=False))
    if array.ndim != len(tensor.shape) or 0 in array.shape or any(size not in (got, None) for got, size in sizes):
        wanted = ", ".join("any" if size is None else str(size) for size in tensor.shape)
        raise _bad(f"The array has shape {list(array.shape)}; the model takes [{wanted}].")
    if len(array) > settings.max_instances:
        raise _bad(f"{len(array)} instances were sent; at most {settings.max_instances} are taken at once.")
    return (_cast(array, tensor.dtype),)


def load(body: bytes) -> np.ndarray:
    """A view of the array in a file of format 1.0 or 2.0. Raises RequestError 400 where it is none, or not whole."""
    file = io.BytesIO(body)
    try:
        shape, fortran, dtype = _READERS[np.lib.format.read_magic(file)](file)
    except Exception as fault:  # its head is read as Python, which can go wrong in many ways
        raise _bad("The body is no array in NumPy's format (numpy.save).") from fault
    if dtype.kind not in "fiub":
        raise _bad(f"An array of {str(dtype)[:50]} is not taken. Send numbers, or true and false.")
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(body) - file.tell():
        raise _bad(f"The array's head says {str(list(shape))[:100]} of {dtype}, and its data has another length.")
    flat: np.ndarray = np.frombuffer(body, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def dump(array: np.ndarray) -> bytes:
    """The file of an array."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _cast(array: np.ndarray, dtype: str) -> np.ndarray:
    """Values as the input takes them. Raises RequestError 400 where it cannot hold them."""
    wanted: np.dtype[Any] = np.dtype(object if dtype == "string" else dtype)
    if array.dtype.kind not in _TAKEN.get(wanted.kind, ""):
        raise _bad(f"The array is of {array.dtype}; the model takes {dtype}.")
    with np.errstate(over="ignore"):
        cast = np.ascontiguousarray(array, wanted)
    if not _holds(cast, array):
        raise _bad(f"The array has values that {dtype} cannot hold.")
    return cast


def _holds(cast: np.ndarray, array: np.ndarray) -> bool:
    """Whether each value is still there: integers as they were, floats rounded, but not to Infinity."""
    if cast.dtype.kind == "f":
        return cast.dtype == array.dtype or bool((np.isfinite(cast) >= np.isfinite(array)).all())
    return bool((cast == array).all())


def _bad(message: str) -> RequestError:
    return RequestError(400, "bad_array", message)
