"""Models of keras.applications, whose weights are in a file: nothing is fetched."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import h5py
import keras

from ..errors import BuildError, reason
from ..source import Source, of_keras
from . import theano
from .names import names

OPTIONS = (
    *("alpha", "classes", "classifier_activation", "depth_multiplier", "dropout"),
    *("include_top", "input_shape", "minimalistic", "pooling"),
)
_OLD_RESNET = re.compile(r"\bres\d[a-z]\d*_branch")
_POOLING = ("avg", "max", None)


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
    arguments = _arguments(query)
    if h5py.is_hdf5(weights) and theano.is_named(weights):
        raise BuildError(
            f"{weights} holds kernels of Keras on Theano, which turned them around. Give the architecture with them: "
            f"./kiln build MODEL.json --weights {weights.name}"
        )
    try:
        model = make(weights=None, **arguments)
    except (ValueError, TypeError) as fault:
        raise BuildError(f"keras.applications.{name} cannot be made so: {reason(fault)}") from fault
    try:
        model.load_weights(weights)
    except Exception as fault:  # Keras and h5py raise many kinds
        raise BuildError(
            f"{weights} does not fit {spec}: {reason(fault)} {_advice(name, arguments, weights)}"
        ) from fault
    return of_keras(model, application=name)


def _advice(name: str, arguments: dict[str, Any], weights: Path) -> str:
    """What to do about weights that do not fit."""
    if _OLD_RESNET.search(" ".join(_layers_in(weights))):
        return (
            f"It is of {name} as older Keras had it, whose layers were in another order. Give its architecture, too, "
            f"which model.to_json() writes there: ./kiln build MODEL.json --weights {weights.name}"
        )
    no_top = f"'keras.applications:{name}?include_top=False&pooling=avg'"
    if arguments.get("include_top", True) and "notop" in weights.name.lower().replace("_", ""):
        return f"It has no top, as its name says: build {no_top}."
    return (
        "If it is of another variant, say which, as in "
        f"'keras.applications:{name}?input_shape=96,96,3&classes=10', or {no_top} for weights without the top."
    )


def _layers_in(weights: Path) -> list[str]:
    """Of a file of Keras 1 or 2; else nothing."""
    try:
        with h5py.File(weights, "r") as content:
            return names(content.get("model_weights", content), "layer_names")
    except OSError:
        return []


def _arguments(query: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS:
            raise BuildError(f"{key!r} is no option of an application here. Known are {', '.join(OPTIONS)}.")
        try:
            arguments[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            arguments[key] = value
    if not isinstance(arguments.get("include_top", True), bool):
        raise BuildError(f"include_top is True or False, not {arguments['include_top']!r}.")
    if arguments.get("pooling") not in _POOLING:
        raise BuildError(f"pooling is avg, max or None, not {arguments['pooling']!r}.")
    return arguments
