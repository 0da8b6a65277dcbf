"""The network: a lean residual net, drawn for less than a millisecond of one core.

Plain 3x3 convolutions keep training fast on a CPU and map one to one onto what XNNPACK runs best; the
squeeze-and-excitation gates (Hu et al. 2018, arXiv:1709.01507) add accuracy for hardly any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
from keras import layers

STEM = 16
WIDTHS = (32, 64, 128, 192)
SQUEEZE = 8

EPSILON = 1e-5

Layer = Callable[..., keras.layers.Layer]
Blocks = Sequence[int]


def build(
    blocks: Blocks,
    side: int | None = None,
    conv: Layer = layers.Conv2D,
    norm: Layer | None = layers.BatchNormalization,
) -> keras.Model:
    """Images in -1..1, float32 (batch, side, side, 3) -> logits float32 (batch, 2).

    blocks: residual blocks at each of the four widths. conv, norm: the layer classes to use; their weights are
    interchangeable with Keras' own, in the order of `model.weights`. Without `norm` the convolutions have a bias
    instead: the form that `fold` makes for serving. Layers with weights have the same names whatever the blocks.
    """

    def conv_norm(x, channels: int, name: str, stride: int = 1):
        x = conv(channels, 3, strides=stride, padding="same", use_bias=norm is None, name=name)(x)
        return x if norm is None else norm(momentum=0.9, epsilon=EPSILON, name=f"{name}_norm")(x)

    def gate(x, channels: int, name: str):
        s = layers.GlobalAveragePooling2D(keepdims=True)(x)
        s = layers.Conv2D(channels // SQUEEZE, 1, activation="relu", name=f"{name}_squeeze")(s)
        s = layers.Conv2D(channels, 1, activation="sigmoid", name=f"{name}_excite")(s)
        return layers.Multiply()([x, s])

    def block(x, channels: int, name: str):
        y = layers.ReLU()(conv_norm(x, channels, f"{name}_first"))
        y = gate(conv_norm(y, channels, f"{name}_second"), channels, name)
        return layers.ReLU()(layers.Add()([x, y]))

    image = layers.Input((side, side, 3), name="image")
    x = layers.ReLU()(conv_norm(image, STEM, "stem", stride=2))
    for stage, (channels, count) in enumerate(zip(WIDTHS, blocks, strict=True), 1):
        x = layers.ReLU()(conv_norm(x, channels, f"stage{stage}", stride=2))
        for number in range(1, count + 1):
            x = block(x, channels, f"stage{stage}_block{number}")
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(2, name="logits")(x), name="catdog")


def copy_shared(source: keras.Model, target: keras.Model, instead: Mapping[str, str]) -> None:
    """Give the layers of `target` the weights of those of the same name in `source`, which may have more blocks.

    instead: blocks of `target` -> the block of `source` to take in place of the one of that name.
    """
    for layer in target.layers:
        if layer.weights:
            block, _, part = layer.name.rpartition("_block")
            number, _, rest = part.partition("_")
            name = f"{block}_block{number}"
            wanted = f"{instead[name]}_{rest}" if name in instead else layer.name
            layer.set_weights(source.get_layer(wanted).get_weights())


def fold(trained: Sequence[np.ndarray], blocks: Blocks, side: int, temperature: float) -> keras.Model:
    """The serving form of a trained network: images in -1..1 -> probabilities, float32 (batch, 2).

    trained: the weights of `build(blocks)` in its order. Batch normalisation is folded into the convolutions, the
    temperature (Guo et al. 2017, arXiv:1706.04599) into the last layer, and every weight is rounded to float16,
    so that a compiled file with float16 weights holds exactly what Keras computes with.
    """
    source = build(blocks, side)
    source.set_weights(trained)
    target = build(blocks, side, norm=None)
    for layer in target.layers:
        if not layer.weights:
            continue
        own = source.get_layer(layer.name)
        if isinstance(layer, layers.Conv2D) and not own.use_bias:
            layer.set_weights(_folded(own, source.get_layer(f"{layer.name}_norm")))
        else:
            layer.set_weights(own.get_weights())
    weights, bias = source.get_layer("logits").get_weights()
    target.get_layer("logits").set_weights([weights / temperature, bias / temperature])
    target.set_weights([weight.astype(np.float16).astype(np.float32) for weight in target.get_weights()])
    return keras.Model(target.input, layers.Softmax(name="probabilities")(target.output), name="catdog")


def _folded(conv: layers.Conv2D, norm: layers.BatchNormalization) -> list[np.ndarray]:
    gamma, beta, mean, variance = norm.get_weights()
    scale = gamma / np.sqrt(variance + EPSILON)
    return [conv.get_weights()[0] * scale, beta - mean * scale]
