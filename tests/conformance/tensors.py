"""Tensors as the protocols name and write them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

# Datatypes by their name in the Open Inference Protocol.
DTYPES = {
    "BOOL": np.dtype("bool"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype("object"),
}

VARIABLE = 3  # the size of a variable dimension in a made-up value


@dataclass(frozen=True)
class Tensor:
    """An input or output. datatype: as the Open Inference Protocol names it. shape: -1 for what varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.datatype not in DTYPES:
            raise ValueError(f"no datatype: {self.datatype!r}, of {self.name!r}")

    @property
    def dtype(self) -> np.dtype:
        return DTYPES[self.datatype]

    @property
    def numeric(self) -> bool:
        """Numbers, not text and not truth values?"""
        return self.datatype not in ("BYTES", "BOOL")

    @property
    def batches(self) -> bool:
        """Does it take any number of instances?"""
        return bool(self.shape) and self.shape[0] == -1


def made_up(tensor: Tensor, count: int, photo: bytes = b"") -> np.ndarray:
    """Values of a tensor, other ones in each instance, the same ones at each call.

    Floats are from 0 to 1, and exact in every datatype. Zeros and ones suit every other input, indices too. Bytes are a
    photo, where one is given.
    """
    shape = [count if tensor.batches else tensor.shape[0]] if tensor.shape else []
    shape += [VARIABLE if size == -1 else size for size in tensor.shape[1:]]
    if tensor.dtype.kind == "f":
        return np.asarray(np.random.default_rng(0).integers(0, 256, shape) / 256).astype(tensor.dtype)
    values = np.resize([0, 1, 1], shape)
    for i in range(len(values) if shape else 0):
        values[i] = np.resize(np.roll([0, 1, 1], i), shape[1:])
    if tensor.datatype == "BYTES":
        return np.array([photo or str(value) for value in values.flat], object).reshape(shape)
    return values.astype(tensor.dtype)


def to_json(values: np.ndarray, *, flat: bool = True) -> Any:
    """As JSON holds them. Bytes become text."""
    return nested(values.ravel() if flat else values)


def nested(values: Any) -> Any:
    """Nested lists of plain values; bytes become text where they are some."""
    if isinstance(values, np.ndarray | np.generic):
        values = values.tolist()
    if isinstance(values, list | tuple):
        return [nested(value) for value in values]
    return values.decode("utf-8", "replace") if isinstance(values, bytes) else values


def to_binary(values: np.ndarray, tensor: Tensor) -> bytes:
    """As the binary tensor extension has them: little-endian, row by row; bytes with their length before them."""
    if tensor.datatype != "BYTES":
        return values.astype(tensor.dtype).tobytes()
    return b"".join(struct.pack("<I", len(data)) + data for data in map(_as_bytes, values.ravel()))


def from_binary(content: bytes, datatype: str, shape: list[int]) -> np.ndarray:
    """The opposite. Raises ValueError where the content does not fit."""
    if datatype != "BYTES":
        return np.frombuffer(content, DTYPES[datatype]).reshape(shape)
    found = []
    while content:
        if len(content) < 4 or len(content) < 4 + (length := struct.unpack("<I", content[:4])[0]):
            raise ValueError("bytes end early")
        found.append(content[4 : 4 + length].decode("utf-8", "replace"))
        content = content[4 + length :]
    return np.array(found, object).reshape(shape)


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
