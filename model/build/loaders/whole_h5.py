"""Legacy .h5 files that hold architecture and weights, of any Keras since 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py

from ..errors import BuildError
from ..source import Source
from . import names, old, old_weights


def has_architecture(file: Path) -> bool:
    """Whether an .h5 file says more than its weights. Raises BuildError when it is damaged."""
    with open_h5(file) as content:
        return "model_config" in content.attrs


def load(file: Path, *, allow_unsafe: bool, trained_with: str) -> Source:
    """Load a whole model. Raises BuildError."""
    with open_h5(file) as content:
        try:
            config = json.loads(names.text(content.attrs["model_config"]))
        except ValueError as fault:
            raise BuildError(f"{file} is damaged: its architecture is no JSON. Copy it again.") from fault
        weights = content.get("model_weights")
        if weights is None:
            raise BuildError(f"{file} holds an architecture and no weights. Save the model again with model.save().")
        version = names.text(content.attrs.get("keras_version", weights.attrs.get("keras_version", "1")))
        return old.load(config, old_weights.of(weights, trained_with), version, file, allow_unsafe=allow_unsafe)


def open_h5(file: Path) -> Any:
    """An open HDF5 file. Raises BuildError."""
    try:
        return h5py.File(file, "r")
    except OSError as fault:
        raise BuildError(f"{file} is no HDF5 file, or is damaged or cut off. Copy it again.") from fault
