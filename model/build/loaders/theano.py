"""What Keras on Theano did otherwise than on TensorFlow: it turned kernels around, and padded other sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ..errors import BuildError

CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose")  # depthwise ones did not turn
_RECURRENT = "ConvLSTMCell"
_UNPADDED = {"MaxPooling": (1, 3), "AveragePooling": (1,)}  # sizes that were pooled as TensorFlow does, with stride 1


def turned(layer: keras.layers.Layer, variables: Sequence[Any], values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A layer's weights as TensorFlow takes them.

    variables: the layer's own and those of layers that it wraps or holds. values: theirs in the file, in that order.
    """
    kernels = {id(kernel) for part in layer._flatten_layers() for kernel in _kernels(part)}
    return [
        np.flip(value, tuple(range(value.ndim - 2))) if id(variable) in kernels else value
        for variable, value in zip(variables, values, strict=False)
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


def _kernels(layer: keras.layers.Layer) -> list[Any]:
    kind = type(layer).__name__
    if kind == _RECURRENT:
        return [layer.kernel, layer.recurrent_kernel]
    return [layer.kernel] if kind in CONVOLUTIONS else []


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
