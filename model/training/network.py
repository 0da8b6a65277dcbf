"""The network: a lean residual net, drawn for about a millisecond of one core.

Plain 3x3 convolutions keep training fast on a CPU and map one to one onto what XNNPACK runs best; the
squeeze-and-excitation gates (Hu et al. 2018, arXiv:1709.01507) add accuracy for hardly any time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import layers

STEM = 16
WIDTHS = (32, 64, 128, 192)
BLOCKS = (1, 2, 3, 0)
SQUEEZE = 8

EPSILON = 1e-5

Layer = Callable[..., keras.layers.Layer]


def build(side: int | None, conv: Layer = layers.Conv2D, norm: Layer | None = layers.BatchNormalization) -> keras.Model:
    """Images in -1..1, float32 (batch, side, side, 3) -> logits float32 (batch, 2).

    conv, norm: the layer classes to use; their weights are interchangeable with Keras' own, in the order of
    `model.weights`. Without `norm` the convolutions have a bias instead: the form that `fold` makes for serving.
    """

    def conv_norm(x, channels: int, stride: int = 1):
        x = conv(channels, 3, strides=stride, padding="same", use_bias=norm is None)(x)
        return x if norm is None else norm(momentum=0.9, epsilon=EPSILON)(x)

    def gate(x, channels: int):
        s = layers.GlobalAveragePooling2D(keepdims=True)(x)
        s = layers.Conv2D(channels // SQUEEZE, 1, activation="relu")(s)
        s = layers.Conv2D(channels, 1, activation="sigmoid")(s)
        return layers.Multiply()([x, s])

    def block(x, channels: int):
        y = layers.ReLU()(conv_norm(x, channels))
        y = gate(conv_norm(y, channels), channels)
        return layers.ReLU()(layers.Add()([x, y]))

    image = layers.Input((side, side, 3), name="image")
    x = layers.ReLU()(conv_norm(image, STEM, stride=2))
    for channels, count in zip(WIDTHS, BLOCKS, strict=True):
        x = layers.ReLU()(conv_norm(x, channels, stride=2))
        for _ in range(count):
            x = block(x, channels)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(2, name="logits")(x), name="catdog")


def fold(trained: Sequence[np.ndarray], side: int, temperature: float) -> keras.Model:
    """The serving form of a trained network: images in -1..1 -> probabilities, float32 (batch, 2).

    trained: the weights of `build(...)` in its order. Batch normalisation is folded into the convolutions, the
    temperature (Guo et al. 2017, arXiv:1706.04599) into the last layer, and every weight is rounded to float16,
    so that a compiled file with float16 weights holds exactly what Keras computes with.
    """
    source = build(side)
    source.set_weights(trained)
    target = build(side, norm=None)
    convs = iter([layer for layer in source.layers if isinstance(layer, layers.Conv2D)])
    norms = iter([layer for layer in source.layers if isinstance(layer, layers.BatchNormalization)])
    for layer in target.layers:
        if isinstance(layer, layers.Conv2D):
            conv = next(convs)
            layer.set_weights(conv.get_weights() if conv.use_bias else _folded(conv, next(norms)))
    weights, bias = source.get_layer("logits").get_weights()
    target.get_layer("logits").set_weights([weights / temperature, bias / temperature])
    target.set_weights([weight.astype(np.float16).astype(np.float32) for weight in target.get_weights()])
    return keras.Model(target.input, layers.Softmax(name="probabilities")(target.output), name="catdog")


def _folded(conv: layers.Conv2D, norm: layers.BatchNormalization) -> list[np.ndarray]:
    gamma, beta, mean, variance = norm.get_weights()
    scale = gamma / np.sqrt(variance + EPSILON)
    return [conv.get_weights()[0] * scale, beta - mean * scale]
