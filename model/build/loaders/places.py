"""Where Keras has the classes of layers that an .h5 file or an architecture names without their modules.

With the module, as .keras files have it, Keras makes a layer as its class says. Without, it takes words for functions
of the same name, score_mode="dot" for one, and forgets axes where a layer has several.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
from keras.src.applications import convnext
from keras.src.ops import core, image, linalg, math, nn, numpy
from keras.src.ops.operation import Operation

from .contents import walk

_MODELS = {"Functional": "keras.src.models.functional", "Sequential": "keras"}
_OF_APPLICATIONS = {"LayerScale": convnext.__name__, "StochasticDepth": convnext.__name__}
# Where a layer is an argument of another.
_WRAPPED = ("layer", "cell", "cells", "activation")


def place(config: dict[str, Any], *, operations: bool) -> None:
    """Say of every layer of a configuration where it is, in place.

    operations: whether x / 255 and the like are there as operations of Keras 3, which have names of layers, too.
    """
    for entry in walk(config):
        inner = entry["config"] if isinstance(entry.get("config"), dict) else {}
        for layer in inner.get("layers", ()):
            if "module" not in layer and isinstance(layer.get("config"), dict):
                _place(layer, operations=operations)
        for key, value in inner.items():
            if key.endswith(_WRAPPED):
                _place_wrapped(value)


def layer_class(name: str) -> type[keras.layers.Layer] | None:
    """Keras' own layer of that name."""
    found = getattr(keras.layers, name, None)
    return found if isinstance(found, type) and issubclass(found, keras.layers.Layer) else None


def _place(entry: dict[str, Any], *, operations: bool) -> None:
    name = entry["class_name"]
    if operations and name in _operations() and "trainable" not in entry["config"]:
        entry |= {"module": _operations()[name], "registered_name": name}
    elif name in _OF_APPLICATIONS:
        entry["module"] = _OF_APPLICATIONS[name]
    elif layer_class(name) and name != "Lambda":  # whose code has older forms, known without the module alone
        entry["module"] = "keras.layers"


def _place_wrapped(value: Any) -> None:
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, dict) and isinstance(entry.get("config"), dict):
            entry.setdefault("module", _MODELS.get(entry["class_name"], "keras.layers"))


@functools.cache
def _operations() -> dict[str, str]:
    """Their modules by their names, which are unique."""
    return {
        name: module.__name__
        for module in (core, image, linalg, math, nn, numpy)
        for name, found in vars(module).items()
        if isinstance(found, type) and issubclass(found, Operation) and found.__module__ == module.__name__
    }
