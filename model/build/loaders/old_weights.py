"""Weights as Keras 1 and 2 stored them: a group a layer, in the order of layers, whatever the layers' names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..errors import BuildError
from . import keras_1, old_cudnn, theano
from .names import names, written


def of(group: Any, trained_with: str) -> Callable[[keras.Model], None]:
    """What gives a model the weights of an HDF5 group with `layer_names`; see assign."""
    return lambda model: assign(model, group, trained_with)


def assign(model: keras.Model, group: Any, trained_with: str) -> None:
    """Give every layer its weights. trained_with: see theano.ran.

    Raises BuildError naming every layer whose weights do not fit.
    """
    old = written(group, "keras_version", "1").startswith("1")
    on_theano = theano.ran(model, group, trained_with)
    if on_theano:
        theano.check(model)
    layers = [(layer, variables) for layer in model.layers if (variables := _variables(layer))]
    saved = [(name, values) for name in names(group, "layer_names") if (values := _values(group[name]))]
    if len(layers) != len(saved):
        raise BuildError(
            f"The architecture has {len(layers)} layers with weights, and the file holds weights of {len(saved)}. "
            "They are not of one model."
        )
    problems: list[str] = []
    pairs: list[tuple[Any, np.ndarray]] = []
    for (layer, variables), (name, values) in zip(layers, saved, strict=True):
        if old:
            values = keras_1.arranged(layer, variables, values)
        if on_theano:
            values = theano.turned(layer, variables, values)
        values = old_cudnn.converted(layer, variables, values)
        wanted, found = ([tuple(entry.shape) for entry in entries] for entries in (variables, values))
        if wanted != found:
            problems.append(f"layer {layer.name!r} has weights of {wanted}, and {name!r} in the file {found}")
        pairs += zip(variables, values, strict=False)
    if problems:
        raise BuildError("The weights do not fit the architecture: " + "; ".join(problems[:5]) + ".")
    for variable, value in pairs:
        variable.assign(value)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its weights


def _variables(layer: keras.layers.Layer) -> list[Any]:
    """In the order in which they were saved."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _values(group: Any) -> list[np.ndarray]:
    return [np.asarray(group[name]) for name in names(group, "weight_names")]
