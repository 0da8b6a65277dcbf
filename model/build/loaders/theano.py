"""What Keras on Theano did otherwise than on TensorFlow: it turned kernels around, and padded other sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from ..errors import BuildError
from .names import names, written

_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose")  # depthwise ones did not turn
_RECURRENT = "ConvLSTMCell"
_KERNELS = {"th_kernels": "theano", "tf_kernels": "tensorflow"}  # in names of files: whose kernels they hold
_UNPADDED = {"MaxPooling": (1, 3), "AveragePooling": (1,)}  # sizes that were pooled as TensorFlow does, with stride 1


def ran(model: keras.Model, group: Any, trained_with: str) -> bool:
    """Whether the Keras that wrote a group of weights ran on Theano.

    Keras 1 did not write it down, but TensorFlow's variables have names that end in ":0", and Theano's do not.
    trained_with: what the user says, "theano", "tensorflow" or nothing. Raises BuildError where the file says
    otherwise, or where it makes a difference and nothing tells.
    """
    said = written(group, "backend", "")
    if trained_with and said and trained_with != said:
        raise BuildError(f"The file says that Keras ran on {said}. Leave --trained-with {trained_with} out.")
    found = {trained_with or said} if trained_with or said else _signs(group)
    if len(found) != 1 and any(_computes_otherwise(part) for part in model._flatten_layers()):
        raise BuildError(
            "The file does not tell whether the kernels of its convolutions are those of Keras on Theano, which turns "
            "them around, or on TensorFlow. Add --trained-with theano or --trained-with tensorflow: what "
            "~/.keras/keras.json said where the model was trained, or else what knows pictures of known labels."
        )
    return found == {"theano"}


def option_refused(of: Path | str) -> BuildError:
    """The refusal of --trained-with for a model whose form Keras 1 did not have."""
    return BuildError(f"--trained-with goes with .h5 files of Keras 1, not with {of}.")


def turned(layer: keras.layers.Layer, variables: Sequence[Any], values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A layer's weights as TensorFlow takes them.

    variables: the layer's own and those of layers that it wraps or holds. values: theirs in the file, in that order;
    more or fewer are returned as they are, to be refused.
    """
    if len(variables) != len(values):
        return list(values)
    kernels = {id(kernel) for part in layer._flatten_layers() for kernel in _kernels(part)}
    return [
        np.flip(value, tuple(range(value.ndim - 2))) if id(variable) in kernels else value
        for variable, value in zip(variables, values, strict=True)
    ]


def check(model: keras.Model) -> None:
    """Raises BuildError naming every layer of the model, and those within, that would answer otherwise."""
    found = [f"{part.name!r} ({type(part).__name__})" for part in model._flatten_layers() if _pads_otherwise(part)]
    if found:
        raise BuildError(
            "The model was made by Keras on Theano, which pads other sides than TensorFlow with padding='same' where "
            f"strides are above 1, kernels even, or values pooled: {', '.join(dict.fromkeys(found))}. Make the same "
            "model with ZeroPadding layers before these and padding='valid' instead, new.set_weights("
            "old.get_weights()), compare its answers where Theano runs, and build that."
        )


def is_named(weights: Path) -> bool:
    """Whether an HDF5 file of weights, or its name, says that they are of Theano."""
    with h5py.File(weights, "r") as content:
        return "theano" in (written(content, "backend", ""), *_marks(content))


def _marks(group: Any) -> set[str]:
    return {backend for mark, backend in _KERNELS.items() if mark in Path(group.file.filename).name}


def _signs(group: Any) -> set[str]:
    """Of what the names of the variables and of the file speak."""
    variables = [name for layer in names(group, "layer_names") for name in names(group[layer], "weight_names")]
    found = {"tensorflow" if name.endswith(":0") else "theano" for name in variables}
    return found | _marks(group)


def _computes_otherwise(layer: keras.layers.Layer) -> bool:
    return _pads_otherwise(layer) or any(max(kernel.shape[:-2]) > 1 for kernel in _kernels(layer))


def _kernels(layer: keras.layers.Layer) -> list[Any]:
    kind = type(layer).__name__
    if kind == _RECURRENT:
        return [layer.kernel, layer.recurrent_kernel]
    return [layer.kernel] if kind in _CONVOLUTIONS else []


def _pads_otherwise(layer: keras.layers.Layer) -> bool:
    kind = type(layer).__name__
    if kind == _RECURRENT and _any_even(layer.kernel_size):
        return True  # the state goes through it with padding="same", whatever the inputs do
    if getattr(layer, "padding", None) != "same":
        return False
    if hasattr(layer, "kernel_size"):
        pairs = zip(layer.kernel_size, layer.strides, strict=True)
        return _any_even(layer.kernel_size) or any(size > 1 and stride > 1 for size, stride in pairs)
    if hasattr(layer, "pool_size"):
        alike = _UNPADDED[kind[: -len("2D")]]
        pairs = zip(layer.pool_size, layer.strides, strict=True)
        return any(size > 1 and (size not in alike or stride > 1) for size, stride in pairs)
    return False


def _any_even(sizes: Sequence[int]) -> bool:
    return any(size % 2 == 0 for size in sizes)
