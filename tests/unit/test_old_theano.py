"""Models that Keras ran on Theano, whose convolutions turn their kernels around."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import keras_1, old_keras
from tests.old_keras import TRAINED, functional, layer, node, taken

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import keras

from model.build import loaders
from model.build.errors import BuildError
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
        i, f, c, o = np.split(
            convolved(given[:, step], kernel) + bias + convolved(around(state, 0), recurrent), 4, axis=-1
        )
        carry = gate(f) * carry + gate(i) * np.tanh(c)
        state = gate(o) * np.tanh(carry)
    assert np.allclose(source(given)[0], state, atol=1e-5)


def test_more_weights_than_a_layer_has_are_refused(tmp_path: Path) -> None:
    conv = layer("Conv2D", "conv", batch_input_shape=[None, 6, 6, 2], **{**CONVOLUTION, "use_bias": False})
    with pytest.raises(BuildError, match="do not fit the architecture: layer 'conv' has weights of"):
        load(tmp_path, [conv], {"conv": [array(3, 3, 2, 4), array(4)]})


def pooling(kind: str, size: int, stride: int) -> dict[str, Any]:
    return layer(kind, "pool", pool_size=[size, size], strides=[stride, stride], padding="same")


def convolution(size: int, stride: int, **more: Any) -> dict[str, Any]:
    config = {**CONVOLUTION, "kernel_size": [size, size], "strides": [stride, stride], "padding": "same", **more}
    return layer("Conv2D", "conv", **config)


FIRST = layer("Conv2D", "first", batch_input_shape=[None, 10, 10, 2], **CONVOLUTION)
WEIGHTS = {"first": [array(3, 3, 2, 4), array(4)], "conv": [array(3, 3, 4, 4), array(4)]}


@pytest.mark.parametrize(
    ("last", "named"),
    [
        (convolution(3, 2), r"'conv' \(Conv2D\)"),
        (convolution(4, 1), r"'conv' \(Conv2D\)"),
        (layer("TimeDistributed", "each", layer=convolution(3, 2)), r"'conv' \(Conv2D\)"),
        (pooling("MaxPooling2D", 2, 2), r"'pool' \(MaxPooling2D\)"),
        (pooling("MaxPooling2D", 5, 1), r"'pool' \(MaxPooling2D\)"),
        (pooling("AveragePooling2D", 3, 1), r"'pool' \(AveragePooling2D\)"),
    ],
    ids=["stride", "even kernel", "within another", "pool with stride", "large pool", "average"],
)
def test_layers_that_theano_padded_otherwise_are_refused(tmp_path: Path, last: dict[str, Any], named: str) -> None:
    layers = [FIRST, last]
    if last["class_name"] == "TimeDistributed":
        layers.insert(1, layer("Reshape", "frames", target_shape=[2, 4, 8, 4]))
    with pytest.raises(BuildError, match=rf"on Theano, which pads other sides .*: {named}\..*padding='valid'"):
        load(tmp_path, layers, WEIGHTS)


def test_layers_that_theano_padded_alike_are_taken(tmp_path: Path) -> None:
    """Stride 1 and odd kernels, single pixels, and the largest of three."""
    point = {**convolution(1, 2), "config": {**convolution(1, 2)["config"], "name": "point"}}
    layers = [FIRST, convolution(3, 1), pooling("MaxPooling2D", 3, 1), point]
    source = load(tmp_path, layers, {**WEIGHTS, "point": [array(1, 1, 4, 4), array(4)]})
    given = pictures(source)
    values = convolved(given, WEIGHTS["first"][0]) + WEIGHTS["first"][1]
    values = convolved(around(values, 0), WEIGHTS["conv"][0]) + WEIGHTS["conv"][1]
    windows = np.lib.stride_tricks.sliding_window_view(around(values, -np.inf), (3, 3), axis=(1, 2))
    values = windows.max(axis=(-2, -1))[:, ::2, ::2]
    assert np.allclose(source(given)[0], convolved(values, array(1, 1, 4, 4)) + array(4), atol=1e-5)


def around(values: np.ndarray, filling: float) -> np.ndarray:
    """With a pixel more at each side."""
    return np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=filling)


# --- Keras 1, which did not write down what it ran on

ONE = [layer("Convolution2D", "conv", **keras_1.first(6, 6, 2), **keras_1.convolution(4, 3, "tf"))]
ONE_WEIGHTS = {"conv": {"W": array(3, 3, 2, 4), "b": array(4)}}


def answers_with(source: Source, kernel: np.ndarray) -> bool:
    """kernel: as Theano turns it around."""
    given = pictures(source)
    return np.allclose(source(given)[0], convolved(given, kernel) + ONE_WEIGHTS["conv"]["b"], atol=1e-5)


@pytest.mark.parametrize("backend", ["theano", "tensorflow"])
def test_the_names_of_variables_tell_what_keras_1_ran_on(tmp_path: Path, backend: str) -> None:
    kernel = ONE_WEIGHTS["conv"]["W"]
    source = loaders.load(str(keras_1.save(tmp_path / "m.h5", ONE, ONE_WEIGHTS, backend)), None, allow_unsafe=False)
    assert answers_with(source, kernel if backend == "theano" else kernel[::-1, ::-1])


def test_kernels_of_files_that_speak_of_both_are_asked_for(tmp_path: Path) -> None:
    """As published weights: TensorFlow's variables with the kernels of Theano."""
    file = keras_1.save(tmp_path / "vgg_tf_dim_ordering_th_kernels.h5", ONE, ONE_WEIGHTS, "tensorflow")
    with pytest.raises(BuildError, match=r"does not tell .* Add --trained-with theano or --trained-with tensorflow: "):
        loaders.load(str(file), None, allow_unsafe=False)
    source = loaders.load(str(file), None, allow_unsafe=False, trained_with="theano")
    assert answers_with(source, ONE_WEIGHTS["conv"]["W"])


def test_what_makes_no_difference_is_not_asked_for(tmp_path: Path) -> None:
    arrays = {"dense": {"W": array(3, 2), "b": array(2)}}
    layers = [layer("Dense", "dense", **keras_1.first(3), **keras_1.TRAINED, output_dim=2, input_dim=3)]
    file = keras_1.save(tmp_path / "m_th_kernels.h5", layers, arrays, "tensorflow")
    source = loaders.load(str(file), None, allow_unsafe=False)
    given = pictures(source)
    assert np.allclose(source(given)[0], given @ arrays["dense"]["W"] + arrays["dense"]["b"], atol=1e-6)


def test_what_the_user_says_must_not_contradict_the_file(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(old_keras.architecture([FIRST]))
    weights = {"first": [(f"first/{number}", value) for number, value in enumerate(WEIGHTS["first"])]}
    file = old_keras.save_weights(tmp_path / "w.h5", [FIRST], weights, b"theano")
    with pytest.raises(BuildError, match=r"says that Keras ran on theano\. Leave --trained-with tensorflow out"):
        loaders.load(str(tmp_path / "m.json"), file, allow_unsafe=False, trained_with="tensorflow")


def test_it_is_said_of_what_keras_1_wrote_alone(tmp_path: Path) -> None:
    made = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    made.save(tmp_path / "m.keras")
    (tmp_path / "exported").mkdir()
    made.save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "m.json").write_text(made.to_json())
    for model, weights, named in (
        ("keras.applications:VGG16", "m.weights.h5", "keras.applications:VGG16"),
        (f"{tmp_path}/m.keras", None, "m.keras"),
        (f"{tmp_path}/exported", None, "exported"),
        (f"{tmp_path}/m.json", "m.weights.h5", "m.weights.h5"),
    ):
        with pytest.raises(BuildError, match=rf"goes with \.h5 files of Keras 1, not with .*{named}\.$"):
            loaders.load(model, weights and tmp_path / weights, allow_unsafe=False, trained_with="theano")


def test_an_application_with_weights_of_theano_is_refused(tmp_path: Path) -> None:
    named = tmp_path / "vgg16_tf_dim_ordering_th_kernels.h5"
    for file, backend in ((tmp_path / "w.h5", b"theano"), (named, b"tensorflow")):
        weights = old_keras.save_weights(file, [], {}, backend)
        with pytest.raises(BuildError, match=r"holds kernels of Keras on Theano, .* MODEL\.json --weights"):
            loaders.load("keras.applications:VGG16", weights, allow_unsafe=False)
