"""Files as Keras 1 wrote them: its names and arguments, no word of the backend, and names of variables that tell it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.old_keras import Layers

UNUSED = {"W_regularizer": None, "b_regularizer": None, "activity_regularizer": None, "b_constraint": None}
TRAINED: dict[str, Any] = {
    "init": "glorot_uniform",
    "activation": "linear",
    "bias": True,
    "W_constraint": None,
    **UNUSED,
}
Arrays = dict[str, dict[str, np.ndarray]]  # of a layer by what follows its name: W, b, ...


def first(*shape: int, dtype: str = "float32") -> dict[str, Any]:
    """What the first layer says of the input, without the batch."""
    return {"batch_input_shape": [None, *shape], "input_dtype": dtype}


def convolution(filters: int, size: int, order: str, **more: Any) -> dict[str, Any]:
    """The arguments of Convolution2D. order: "tf" or "th"."""
    sizes = {"nb_filter": filters, "nb_row": size, "nb_col": size}
    return {**sizes, "border_mode": "valid", "subsample": [1, 1], "dim_ordering": order, **TRAINED, **more}


def save(file: Path, layers: Layers, arrays: Arrays, backend: str) -> Path:
    """model.save() of a Sequential. backend: "tensorflow" or "theano"."""
    with h5py.File(file, "w") as content:
        content.attrs["keras_version"] = b"1.2.2"
        content.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers}).encode()
        group = content.create_group("model_weights")
        stored = [_name(entry) for entry in layers]
        group.attrs["layer_names"] = [name.encode() for name in stored]
        end = ":0" if backend == "tensorflow" else ""
        for name in stored:
            values = {f"{name}_{key}{end}": value for key, value in arrays.get(name, {}).items()}
            part = group.create_group(name)
            part.attrs["weight_names"] = [key.encode() for key in values]
            for key, value in values.items():
                part.create_dataset(key, data=value)
    return file


def _name(entry: dict[str, Any]) -> str:
    """A model within the model has none in the architecture."""
    return "sequential_1" if isinstance(entry["config"], list) else str(entry["config"]["name"])
