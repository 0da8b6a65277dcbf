"""The one form that every model is loaded to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.saved_model.experimental import TrackableResource

from .. import families
from ..bundle import Tensor
from ..engines.keras import carried, positional
from .errors import BuildError, reason

_IN_GRAPHS = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_./>-]*")


@dataclass(frozen=True)
class Source:
    """A model, ready to be exported.

    call: takes the inputs, gives the outputs, both in the order of `inputs` and `outputs`.
    tracked: what the graph refers to, so that a SavedModel keeps it. weights: the model's, for counting.
    model: the Keras model to save as reference; None where its graph is saved instead, for what Keras alone would not
    load again (a SavedModel, code within the model, the functions of an older Keras).
    application: its name in keras.applications, where it is one.
    vocabularies: whole numbers that an input takes are below it, an entry an input; None where floats are taken.
    based_on: the name that keras.applications gave the model, or one within it; "" where there is none.
    """

    call: Callable[..., Sequence[tf.Tensor]]
    tracked: Any
    weights: Sequence[Any]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    model: keras.Model | None = None
    application: str = ""
    vocabularies: tuple[int | None, ...] = ()
    based_on: str = ""

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The reference answers."""
        return [np.asarray(answer) for answer in self.call(*map(tf.constant, inputs))]

    def save_graph(self, folder: Path, batch: int | None = None) -> None:
        """A SavedModel of one function, `input_0`, `input_1`, … to `output_0`, `output_1`, ….

        Raises BuildError where there is no graph for inputs of the declared shapes.
        """
        try:
            traced = self.function(batch).get_concrete_function()
        except Exception as fault:  # TensorFlow raises many kinds
            shapes = "; ".join(f"{entry.name} {list(entry.shape)}".replace("None", "any") for entry in self.inputs)
            raise BuildError(
                f"There is no graph of the model for inputs of any size ({shapes}): {reason(fault).rstrip('.')}. Make "
                "the same model with a fixed size, keras.Input((height, width, 3)), or else a fixed batch, "
                "keras.Input(batch_shape=(1, ...)), new.set_weights(old.get_weights()), and build that."
            ) from fault
        module = tf.Module()
        module.tracked = self.tracked
        tf.saved_model.save(module, str(folder), signatures=traced)

    def function(self, batch: int | None = None) -> Any:
        """The graph as a tf.function with those names. batch: instead of the declared one."""
        signature = [
            tf.TensorSpec((batch or entry.shape[0], *entry.shape[1:]), entry.dtype, name=f"input_{number}")
            for number, entry in enumerate(self.inputs)
        ]
        return tf.function(
            lambda *inputs: {f"output_{number}": answer for number, answer in enumerate(self.call(*inputs))},
            input_signature=signature,
        )


def of_keras(model: keras.Model, *, graph_only: bool = False, application: str = "") -> Source:
    """A Keras model's source. graph_only: Keras alone would not load the file again that it saves."""
    inputs = _tensors(model.inputs, _names(model, "inputs"))
    outputs = _tensors(model.outputs, _names(model, "outputs"))
    _check_stateless(model)
    based_on = _based_on(model)
    _make_traceable(model)
    call = tf.function(positional(model), reduce_retracing=True)
    kept = None if graph_only else model
    vocabularies = _vocabularies(model, inputs)
    return Source(call, _tracked(model), model.weights, inputs, outputs, kept, application, vocabularies, based_on)


def _based_on(model: keras.Model) -> str:
    models = [model, *(layer for layer in model._flatten_layers() if isinstance(layer, keras.Model))]
    return next((found.name for found in models if families.named_after(found.name)), "")


def _check_stateless(model: keras.Model) -> None:
    names = [layer.name for layer in model._flatten_layers() if getattr(layer, "stateful", False)]
    if names:
        raise BuildError(
            f"Layers keep what one call left for the next (stateful=True): {', '.join(names)}. A server's calls come "
            "from many clients. Make the same model with stateful=False, new.set_weights(old.get_weights()), build "
            "that, and send whole sequences."
        )


def _vocabularies(model: keras.Model, inputs: Sequence[Tensor]) -> tuple[int | None, ...]:
    """Of the embeddings that an input goes into; else for whole numbers that of the smallest embedding there is."""
    sizes = [layer.input_dim for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    found: list[int | None] = []
    for symbol, tensor in zip(model.inputs, inputs, strict=True):
        own = [layer.input_dim for layer in _takers(symbol) if isinstance(layer, keras.layers.Embedding)]
        whole = np.dtype(tensor.dtype).kind in "iu" if tensor.dtype != "string" else False
        found.append(min(own) if own else min(sizes, default=2) if whole else None)
    return tuple(found)


def _takers(symbol: Any) -> list[Any]:
    """The layers that a model's input goes into, also within models that it holds."""
    layers: list[Any] = []
    for node in symbol._keras_history.operation._outbound_nodes:
        layers.append(node.operation)
        if isinstance(node.operation, keras.Model):
            for outer, inner in zip(node.input_tensors, node.operation.inputs, strict=False):
                layers += _takers(inner) if outer is symbol else []
    return layers


def _make_traceable(model: keras.Model) -> None:
    """Rename the layers, and their weights, whose names TensorFlow would not take in a graph."""
    layers = [layer for layer in model._flatten_layers() if not isinstance(layer, keras.layers.InputLayer)]
    taken = {layer.name for layer in layers}
    for layer in layers:
        if not _IN_GRAPHS.fullmatch(layer.name):
            name = _in_graphs(layer.name)
            while name in taken:
                name += "_"
            taken.add(name)
            layer.name = name
    for variable in model.variables:
        if not _IN_GRAPHS.fullmatch(variable.path):
            variable.value._handle_name = f"{_in_graphs(variable.path)}:0"  # TensorFlow has no public way


def _in_graphs(name: str) -> str:
    return "layer_" + re.sub(r"[^A-Za-z0-9_./-]", "_", name)


def _tracked(model: keras.Model) -> list[Any]:
    """The variables, and the tables that turn text into numbers.

    Not the model itself: TensorFlow would trace that once more as it saves, and in training, where some layers draw
    random numbers.
    """
    parts = tf.train.TrackableView(model).descendants()
    return [*model.variables, *(part for part in parts if isinstance(part, TrackableResource))]


def _tensors(symbols: Sequence[Any], names: Sequence[str]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(name, carried(keras.backend.standardize_dtype(symbol.dtype)), tuple(symbol.shape))
        for symbol, name in zip(symbols, names, strict=True)
    )


def _names(model: keras.Model, which: str) -> list[str]:
    """The key in a model that takes or gives a dict, else the name of the layer."""
    functional = getattr(model, "_functional", None) or model
    form = getattr(functional, f"_{which}_struct", getattr(model, which))
    names = [
        str(path[-1]) if path and isinstance(path[-1], str) else symbol._keras_history.operation.name
        for path, symbol in keras.tree.flatten_with_path(form)
    ]
    return unique(names)


def unique(names: Sequence[str]) -> list[str]:
    """The names, each that came before with a number."""
    return [name if name not in names[:place] else f"{name}_{place}" for place, name in enumerate(names)]
