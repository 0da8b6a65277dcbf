"""The protocol's names of datatypes, and what a bundle calls them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.store import Model

BYTES = "BYTES"
HALF = "FP16"  # it has no form in JSON that clients agree on
_NAMES = {
    "bool": "BOOL",
    **{f"{kind}{bits}": f"{kind.upper()}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    "float16": HALF,
    "float32": "FP32",
    "float64": "FP64",
    "string": BYTES,
}
DATATYPES = frozenset(_NAMES.values())
# On the wire numbers are little-endian.
_WIRE = {name: np.dtype(name).newbyteorder("<") for name in _NAMES if name != "string"}


def named(dtype: str) -> str:
    """A bundle's dtype -> the protocol's datatype."""
    return _NAMES.get(dtype, dtype.upper())


def wire(dtype: str) -> np.dtype[np.generic]:
    """The form of a bundle's dtype, which is no text, in binary data."""
    return _WIRE[dtype]


def sizes(shape: Sequence[int | None]) -> list[int]:
    """A bundle's shape -> the protocol's: -1 where a size varies, as the batch always may."""
    return [-1, *(-1 if size is None else size for size in shape[1:])]


def listed(shape: Sequence[int]) -> str:
    """A shape as messages have it: [-1,3]."""
    return f"[{','.join(map(str, shape))}]"


def takes_pictures(model: Model) -> bool:
    """Whether its one input takes encoded pictures as BYTES, beside the tensor that is made of them."""
    return model.bundle.preprocessing is not None
