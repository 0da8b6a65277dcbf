"""Models that Keras ran on Theano, whose convolutions turn their kernels around."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import old_keras
from tests.old_keras import TRAINED, functional, layer, node, taken

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from model.build import loaders
from model.build.source import Source

pytestmark = [pytest.mark.unit, pytest.mark.slow]

CONVOLUTION: dict[str, Any] = {
    "filters": 4,
    "kernel_size": [3, 3],
    "padding": "valid",
    "activation": "linear",
    **TRAINED,
}
RECURRENT: dict[str, Any] = {"filters": 2, "recurrent_activation": "hard_sigmoid", "return_sequences": False}


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(0, 0.3, shape).astype(np.float32)


def convolved(pictures: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """As Theano does. pictures: (batch, rows, columns, channels); kernel: (rows, columns, channels, filters)."""
    windows = np.lib.stride_tricks.sliding_window_view(pictures, kernel.shape[:2], axis=(1, 2))
    return np.einsum("nhwcij,ijcf->nhwf", windows, kernel[::-1, ::-1])


def pictures(source: Source) -> np.ndarray:
    return array(2, *(size or 0 for size in source.inputs[0].shape[1:]))


def load(folder: Path, layers: old_keras.Layers, arrays: dict[str, list[np.ndarray]]) -> Source:
    """An architecture and weights as Keras 2 wrote them on Theano."""
    weights = {
        name: [(f"{name}/{number}:0", value) for number, value in enumerate(values)] for name, values in arrays.items()
    }
    (folder / "m.json").write_text(old_keras.architecture(layers))
    file = old_keras.save_weights(folder / "w.h5", layers, weights, b"theano")
    return loaders.load(str(folder / "m.json"), file, allow_unsafe=False)


@pytest.mark.parametrize("kind", ["Sequential", "Model"])
def test_kernels_of_models_within_models_are_turned(tmp_path: Path, kind: str) -> None:
    kernel, bias = array(3, 3, 2, 4), array(4)
    if kind == "Sequential":
        first = layer("Conv2D", "conv", batch_input_shape=[None, 6, 6, 2], **CONVOLUTION)
        inner = {"class_name": "Sequential", "config": {"name": "inner", "layers": [first]}}
    else:
        parts = [taken("input_1", 6, 6, 2), node("Conv2D", "conv", "input_1", **CONVOLUTION)]
        inner = functional("inner", parts, ["input_1"], [["conv", 0, 0]])
    source = load(tmp_path, [inner, layer("Activation", "last", activation="linear")], {"inner": [kernel, bias]})
    given = pictures(source)
    assert np.allclose(source(given)[0], convolved(given, kernel) + bias, atol=1e-5)


def test_kernels_of_wrapped_layers_are_turned(tmp_path: Path) -> None:
    kernel, bias = array(3, 3, 2, 4), array(4)
    inside = layer("Conv2D", "conv", **CONVOLUTION)
    wrapper = layer("TimeDistributed", "each", batch_input_shape=[None, 3, 6, 6, 2], layer=inside)
    source = load(tmp_path, [wrapper], {"each": [kernel, bias]})
    given = pictures(source)
    wanted = convolved(given.reshape(6, 6, 6, 2), kernel).reshape(2, 3, 4, 4, 4) + bias
    assert np.allclose(source(given)[0], wanted, atol=1e-5)


def test_both_kernels_of_a_recurrent_convolution_are_turned(tmp_path: Path) -> None:
    kernel, recurrent, bias = array(3, 3, 2, 8), array(3, 3, 2, 8), array(8)
    config = {**CONVOLUTION, **RECURRENT, "activation": "tanh", "unit_forget_bias": True}
    whole = layer("ConvLSTM2D", "clstm", batch_input_shape=[None, 3, 6, 6, 2], **config)
    source = load(tmp_path, [whole], {"clstm": [kernel, recurrent, bias]})
    given = pictures(source)

    def gate(values: np.ndarray) -> np.ndarray:
        return np.clip(0.2 * values + 0.5, 0, 1)

    state = carry = np.zeros((2, 4, 4, 2))
    for step in range(3):
        around = np.pad(state, ((0, 0), (1, 1), (1, 1), (0, 0)))
        i, f, c, o = np.split(convolved(given[:, step], kernel) + bias + convolved(around, recurrent), 4, axis=-1)
        carry = gate(f) * carry + gate(i) * np.tanh(c)
        state = gate(o) * np.tanh(carry)
    assert np.allclose(source(given)[0], state, atol=1e-5)
