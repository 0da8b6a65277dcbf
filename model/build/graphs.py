"""Reading the SavedModel of one function that a source was saved to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf


def read(folder: Path) -> Any:
    """The loaded SavedModel."""
    return tf.saved_model.load(str(folder))


def wrapped(loaded: Any, batch: int | None = None) -> Any:
    """Its function with positional inputs that keep their names. batch: instead of the declared one."""
    served = loaded.signatures["serving_default"]
    specs = served.structured_input_signature[1]
    signature = [
        tf.TensorSpec([batch or specs[name].shape[0], *specs[name].shape[1:]], specs[name].dtype, name=name)
        for name in sorted(specs, key=_place)
    ]
    return tf.function(
        lambda *inputs: served(**{spec.name: value for spec, value in zip(signature, inputs, strict=True)}),
        input_signature=signature,
    )


def load(folder: Path, batch: int | None = None) -> tuple[Any, Any]:
    """(what holds the weights, the function as one graph). A fixed batch that is declared stays."""
    loaded = read(folder)
    declared = loaded.signatures["serving_default"].structured_input_signature[1]["input_0"].shape[0]
    return loaded, wrapped(loaded, declared or batch).get_concrete_function()


def _place(name: str) -> int:
    return int(name.rpartition("_")[2])
