"""A bundle -> the signature that TensorFlow Serving's metadata tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.store import Model

from .calls import SIGNATURE

_TYPES = {
    "bool": "DT_BOOL",
    "string": "DT_STRING",
    "float16": "DT_HALF",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    **{f"{kind}{bits}": f"DT_{kind.upper()}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}


def metadata(model: Model) -> dict[str, Any]:
    """As JSON of its GetModelMetadataResponse, every field of it printed. A model that takes pictures tells of them, as
    text; that it takes the network's own numbers, too, a signature cannot say."""
    bundle = model.bundle
    inputs = {tensor.name: _tensor(tensor.name, tensor.dtype, tensor.shape) for tensor in bundle.inputs}
    if bundle.preprocessing is not None:
        inputs = {name: _tensor(name, "string", (None,)) for name in inputs}
    signature = {
        "inputs": inputs,
        "outputs": {tensor.name: _tensor(tensor.name, tensor.dtype, tensor.shape) for tensor in bundle.outputs},
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }
    return {
        "model_spec": {"name": bundle.name, "signature_name": "", "version": bundle.version},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def _tensor(name: str, dtype: str, shape: Sequence[int | None]) -> dict[str, Any]:
    sizes = [{"size": "-1" if size is None else str(size), "name": ""} for size in shape]
    return {
        "dtype": _TYPES.get(dtype, "DT_INVALID"),
        "tensor_shape": {"dim": sizes, "unknown_rank": False},
        "name": f"{name}:0",
    }
