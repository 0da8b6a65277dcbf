"""SavedModel folders: of TensorFlow 1 and Keras 2, of model.export(), and of plain tf.functions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf

from ...bundle import Tensor
from ...engines.keras import carried, widened
from ..errors import BuildError, reason
from ..source import Source
from . import old_variables

SIGNATURE = "serving_default"


def load(folder: Path) -> Source:
    """Load the function that the folder serves by default. Raises BuildError."""
    if not (folder / "saved_model.pb").is_file():
        raise BuildError(f"{folder} is no SavedModel: it has no saved_model.pb. Give the folder that holds that file.")
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as fault:  # TensorFlow raises many kinds on damaged files and unknown operations
        raise BuildError(f"{folder} cannot be loaded by TensorFlow {tf.__version__}: {reason(fault)}") from fault
    function = loaded.signatures.get(SIGNATURE) or _only(loaded, folder)
    taken = function.structured_input_signature[1]
    inputs = _tensors(taken)
    outputs = _tensors(function.structured_outputs)
    try:
        answered, variables = old_variables.replaced(loaded, function)
    except Exception as fault:  # TensorFlow raises many kinds
        raise BuildError(
            f"{folder} has variables of TensorFlow 1 that cannot be kept: {reason(fault)} Freeze it where it was made "
            "(convert_variables_to_constants), save that as a SavedModel, and build it."
        ) from fault

    def call(*values: tf.Tensor) -> list[tf.Tensor]:
        named = {entry.name: value for entry, value in zip(inputs, values, strict=True)}
        answers = answered(**{name: tf.cast(value, taken[name].dtype) for name, value in named.items()})
        return widened([answers[entry.name] for entry in outputs])

    return Source(call, [loaded, variables], [*function.variables, *variables], inputs, outputs)


def _only(loaded: Any, folder: Path) -> Any:
    """The one signature there is."""
    found = list(loaded.signatures)
    if len(found) != 1:
        raise BuildError(
            f"{folder} has no signature {SIGNATURE!r} (it has: {', '.join(found) or 'none'}). Save it with one: "
            "tf.saved_model.save(model, folder, signatures=function), or model.export(folder)."
        )
    return loaded.signatures[found[0]]


def _tensors(specs: dict[str, Any]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(name, carried(specs[name].dtype.name), _shape(name, specs[name].shape))
        for name in sorted(specs, key=_order)
    )


def _shape(name: str, shape: Any) -> tuple[int | None, ...]:
    if shape.rank is None:
        raise BuildError(f"The tensor {name!r} has no fixed number of axes. Give it a shape when you save the model.")
    return tuple(shape)


def _order(name: str) -> list[Any]:
    """input_2 before input_10."""
    parts: Iterable[str] = re.split(r"(\d+)", name)
    return [int(part) if part.isdigit() else part for part in parts]
