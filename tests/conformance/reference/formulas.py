"""The kit's small models: half_plus_two, y = x / 2 + 2, and `two`, of two inputs and outputs. NumPy alone."""

from __future__ import annotations

import numpy as np


def half_plus_two(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"y": given["x"] / np.float32(2) + np.float32(2)}


def two(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    both = np.concatenate([given["a"], given["b"].reshape(len(given["b"]), -1).astype("float32")], axis=-1)
    return {"p": both * np.float32(2), "q": both.sum(axis=-1)}


FORMULAS = {"half_plus_two": half_plus_two, "two": two}

# Name, datatype and shape of every tensor.
INPUTS = {
    "half_plus_two": [("x", "FP32", [-1, 3])],
    "two": [("a", "FP32", [-1, 3]), ("b", "INT32", [-1, 2, 2])],
}
OUTPUTS = {
    "half_plus_two": [("y", "FP32", [-1, 3])],
    "two": [("p", "FP32", [-1, 7]), ("q", "FP32", [-1])],
}


def described(tensors: list[tuple[str, str, list[int]]]) -> list[dict[str, object]]:
    """As the metadata of the Open Inference Protocol has them."""
    return [{"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in tensors]
