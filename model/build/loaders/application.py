"""Models of keras.applications, whose weights are in a file: nothing is fetched."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import h5py
import keras

from ..errors import BuildError, reason
from ..source import Source, of_keras
from . import theano

OPTIONS = ("alpha", "classes", "classifier_activation", "depth_multiplier", "dropout", "input_shape", "minimalistic")


def load(spec: str, weights: Path | None) -> Source:
    """Make the model and load its weights.

    spec: "MobileNetV2", or with arguments of its function: "MobileNetV2?alpha=0.35&input_shape=96,96,3".
    Raises BuildError.
    """
    name, _, query = spec.partition("?")
    make = getattr(keras.applications, name, None)
    if not callable(make):
        known = sorted(entry for entry in vars(keras.applications) if entry[0].isupper())
        raise BuildError(f"keras.applications has no {name!r}. It has: {', '.join(known)}.")
    if weights is None:
        raise BuildError(f"Give the weights of {name} as a file, --weights FILE.h5: nothing is fetched from elsewhere.")
    if not weights.is_file():
        raise BuildError(f"{weights} does not exist.")
    if h5py.is_hdf5(weights) and theano.is_named(weights):
        raise BuildError(
            f"{weights} holds kernels of Keras on Theano, which turned them around. Give the architecture with them: "
            f"./kiln build MODEL.json --weights {weights.name}"
        )
    try:
        model = make(weights=None, **_arguments(query))
    except (ValueError, TypeError) as fault:
        raise BuildError(f"keras.applications.{name} cannot be made so: {reason(fault)}") from fault
    try:
        model.load_weights(weights)
    except Exception as fault:  # Keras and h5py raise many kinds
        raise BuildError(
            f"{weights} does not fit {spec}: {reason(fault)} If it is "
            f"of another variant, say which, as in 'keras.applications:{name}?input_shape=96,96,3&classes=10'."
        ) from fault
    return of_keras(model, application=name)


def _arguments(query: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS:
            raise BuildError(f"{key!r} is no option of an application here. Known are {', '.join(OPTIONS)}.")
        try:
            arguments[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            arguments[key] = value
    return arguments
