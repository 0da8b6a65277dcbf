"""Models of Keras 1: its order of axes, its kernels and its recurrent layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import keras_1
from tests.old_keras import Layers, layer

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from model.build import loaders
from model.build.errors import BuildError
from model.build.source import Source

pytestmark = [pytest.mark.unit, pytest.mark.slow]


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(0, 0.3, shape).astype(np.float32)


def load(folder: Path, layers: Layers, arrays: keras_1.Arrays) -> Source:
    file = keras_1.save(folder / "m.h5", layers, arrays, "tensorflow")
    return loaders.load(str(file), None, allow_unsafe=False)


# --- Order of axes


def correlated(pictures: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """As TensorFlow does. pictures: (batch, channels, rows, columns); kernel: (filters, channels, rows, columns)."""
    windows = np.lib.stride_tricks.sliding_window_view(pictures, kernel.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,fcij->nfhw", windows, kernel) + bias[:, None, None]


def test_kernels_are_arranged_by_the_order_that_their_layer_says(tmp_path: Path) -> None:
    """This one has the same shape in both."""
    arrays = {"conv": {"W": array(3, 3, 3, 3), "b": array(3)}}
    layers = [layer("Convolution2D", "conv", **keras_1.first(3, 6, 6), **keras_1.convolution(3, 3, "th"))]
    given = array(2, 3, 6, 6)
    (answer,) = load(tmp_path, layers, arrays)(given)
    assert np.allclose(answer, correlated(given, *arrays["conv"].values()), atol=1e-5)


def test_kernels_of_models_within_models_are_arranged(tmp_path: Path) -> None:
    inner = [layer("Convolution2D", "conv", **keras_1.first(2, 6, 6), **keras_1.convolution(4, 3, "th"))]
    layers = [{"class_name": "Sequential", "config": inner}, layer("Activation", "last", activation="linear")]
    kernel, bias = array(4, 2, 3, 3), array(4)
    given = array(2, 2, 6, 6)
    (answer,) = load(tmp_path, layers, {"sequential_1": {"W": kernel, "b": bias}})(given)
    assert np.allclose(answer, correlated(given, kernel, bias), atol=1e-5)


AROUND = {
    "ZeroPadding2D": ({"padding": [1, 1]}, lambda values: np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)))),
    "UpSampling2D": ({"size": [2, 2]}, lambda values: values.repeat(2, axis=2).repeat(2, axis=3)),
    "Cropping2D": ({"cropping": [[1, 0], [1, 1]]}, lambda values: values[:, :, 1:, 1:-1]),
}


@pytest.mark.parametrize("kind", AROUND)
def test_layers_that_say_no_order_have_that_of_the_others(tmp_path: Path, kind: str) -> None:
    config, wanted = AROUND[kind]
    arrays = {"conv": {"W": array(2, 6, 3, 3), "b": array(2)}}
    layers = [
        layer(kind, "around", **keras_1.first(6, 6, 6), **config),
        layer("Convolution2D", "conv", **keras_1.convolution(2, 3, "th")),
    ]
    given = array(2, 6, 6, 6)
    (answer,) = load(tmp_path, layers, arrays)(given)
    assert np.allclose(answer, correlated(wanted(given), *arrays["conv"].values()), atol=1e-5)


def test_an_order_that_nothing_tells_is_asked_for(tmp_path: Path) -> None:
    layers = [layer("UpSampling2D", "up", **keras_1.first(4, 4, 4), size=[2, 2])]
    with pytest.raises(BuildError, match=r"channels come first or last in 'up', .* \"dim_ordering\": \"th\""):
        load(tmp_path, layers, {})
    layers[0]["config"]["dim_ordering"] = "th"
    (tmp_path / "m.json").write_text(json.dumps({"class_name": "Sequential", "config": layers}))
    source = loaders.load(str(tmp_path / "m.json"), tmp_path / "m.h5", allow_unsafe=False)
    given = array(2, 4, 4, 4)
    assert np.array_equal(source(given)[0], given.repeat(2, axis=2).repeat(2, axis=3))


# --- Arrays


@pytest.mark.parametrize("shape", [(3, 1, 5, 4), (4, 5, 3, 1)], ids=["since 1.2", "before"])
def test_kernels_over_time_had_an_axis_more(tmp_path: Path, shape: tuple[int, ...]) -> None:
    kernel, bias = array(*shape), array(4)
    config = {"nb_filter": 4, "filter_length": 3, "border_mode": "valid", "subsample_length": 1, **keras_1.TRAINED}
    layers = [layer("Convolution1D", "conv", **keras_1.first(8, 5), **config, input_dim=5, input_length=None)]
    given = array(2, 8, 5)
    (answer,) = load(tmp_path, layers, {"conv": {"W": kernel, "b": bias}})(given)
    windows = np.lib.stride_tricks.sliding_window_view(given, 3, axis=1)
    ours = kernel[:, 0] if shape[0] == 3 else kernel[..., 0].transpose(2, 1, 0)
    assert np.allclose(answer, np.einsum("ntck,kcf->ntf", windows, ours) + bias, atol=1e-5)


RECURRENT: dict[str, Any] = {
    "activation": "tanh",
    "inner_activation": "hard_sigmoid",
    "init": "glorot_uniform",
    "inner_init": "orthogonal",
    "return_sequences": False,
    "go_backwards": False,
    "stateful": False,
    "unroll": False,
    "consume_less": "cpu",
    "input_dim": 3,
    "input_length": None,
    "output_dim": 4,
    "W_regularizer": None,
    "U_regularizer": None,
    "b_regularizer": None,
    "dropout_W": 0.2,
    "dropout_U": 0.0,
}


def gates(names: str, seed: int = 0) -> dict[str, np.ndarray]:
    """W_i, U_i, b_i, ..., as Keras 1 had them: a kernel, a recurrent kernel and a bias for each gate."""
    rng = np.random.default_rng(seed)
    shapes = {"W": (3, 4), "U": (4, 4), "b": (4,)}
    return {f"{key}_{gate}": rng.normal(size=shapes[key]).astype(np.float32) for gate in names for key in shapes}


def gate(values: np.ndarray) -> np.ndarray:
    return np.clip(0.2 * values + 0.5, 0, 1)


def lstm(given: np.ndarray, of: dict[str, np.ndarray]) -> np.ndarray:
    state = carry = np.zeros((len(given), 4))
    for values in given.swapaxes(0, 1):
        i, c, f, o = (values @ of[f"W_{key}"] + state @ of[f"U_{key}"] + of[f"b_{key}"] for key in "icfo")
        carry = gate(f) * carry + gate(i) * np.tanh(c)
        state = gate(o) * np.tanh(carry)
    return state


def gru(given: np.ndarray, of: dict[str, np.ndarray]) -> np.ndarray:
    state = np.zeros((len(given), 4))
    for values in given.swapaxes(0, 1):
        z, r = (gate(values @ of[f"W_{key}"] + state @ of[f"U_{key}"] + of[f"b_{key}"]) for key in "zr")
        new = np.tanh(values @ of["W_h"] + (r * state) @ of["U_h"] + of["b_h"])
        state = z * state + (1 - z) * new
    return state


@pytest.mark.parametrize(("kind", "names", "computed"), [("LSTM", "icfo", lstm), ("GRU", "zrh", gru)])
def test_the_gates_of_recurrent_layers_are_joined(tmp_path: Path, kind: str, names: str, computed: Any) -> None:
    more = {"forget_bias_init": "one"} if kind == "LSTM" else {}
    layers = [layer(kind, "last", **keras_1.first(5, 3), **RECURRENT, **more)]
    given = array(2, 5, 3)
    (answer,) = load(tmp_path, layers, {"last": gates(names)})(given)
    assert np.allclose(answer, computed(given, gates(names)), atol=1e-5)


def test_gates_of_both_directions_are_joined(tmp_path: Path) -> None:
    inside = layer("LSTM", "lstm", **RECURRENT, forget_bias_init="one")
    layers = [layer("Bidirectional", "both", **keras_1.first(5, 3), layer=inside, merge_mode="concat")]
    there, back = gates("icfo", 1), gates("icfo", 2)
    arrays = {f"{way}_{key}": value for way, of in (("there", there), ("back", back)) for key, value in of.items()}
    given = array(2, 5, 3)
    (answer,) = load(tmp_path, layers, {"both": arrays})(given)
    assert np.allclose(answer, np.hstack([lstm(given, there), lstm(given[:, ::-1], back)]), atol=1e-5)


# --- Names


def test_names_of_that_time_are_known(tmp_path: Path) -> None:
    table = {"input_dim": 9, "output_dim": 5, "init": "uniform", "mask_zero": False, "dropout": 0.2, "input_length": 4}
    names = {"W_regularizer": None, "W_constraint": None, "activity_regularizer": None}
    conv = {"nb_filter": 3, "filter_length": 3, "border_mode": "valid", "subsample_length": 1, "atrous_rate": 2}
    layers = [
        layer("Embedding", "words", **keras_1.first(4, dtype="int32"), **table, **names),
        layer("GaussianNoise", "noise", sigma=0.2),
        layer("SpatialDropout1D", "spatial", p=0.3),
        layer("UpSampling1D", "up", length=2),
        layer("ZeroPadding1D", "pad", padding={"left_pad": 1}),
        layer("GaussianDropout", "drop", p=0.3),
        layer("AtrousConvolution1D", "conv", **conv, **keras_1.TRAINED, input_dim=None, input_length=None),
        layer("TimeDistributedDense", "each", **keras_1.TRAINED, output_dim=2, input_dim=3, input_length=None),
    ]
    arrays = {
        "words": {"W": array(9, 5)},
        "conv": {"W": array(3, 1, 5, 3), "b": array(3)},
        "each": {"W": array(3, 2), "b": array(2)},
    }
    given = np.arange(8, dtype=np.int32).reshape(2, 4)
    (answer,) = load(tmp_path, layers, arrays)(given)
    values = np.pad(arrays["words"]["W"][given].repeat(2, axis=1), ((0, 0), (1, 0), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(values, 5, axis=1)[..., ::2]
    values = np.einsum("ntck,kcf->ntf", windows, arrays["conv"]["W"][:, 0]) + arrays["conv"]["b"]
    assert np.allclose(answer, values @ arrays["each"]["W"] + arrays["each"]["b"], atol=1e-5)


def test_convolutions_of_three_axes(tmp_path: Path) -> None:
    sizes = {"nb_filter": 4, "kernel_dim1": 3, "kernel_dim2": 2, "kernel_dim3": 2, "subsample": [1, 1, 1]}
    config = {**sizes, "border_mode": "valid", "dim_ordering": "th", **keras_1.TRAINED}
    kernel, bias = array(4, 2, 3, 2, 2), array(4)
    given = array(2, 2, 5, 6, 7)
    layers = [layer("Convolution3D", "conv", **keras_1.first(2, 5, 6, 7), **config)]
    (answer,) = load(tmp_path, layers, {"conv": {"W": kernel, "b": bias}})(given)
    windows = np.lib.stride_tricks.sliding_window_view(given, (3, 2, 2), axis=(2, 3, 4))
    assert np.allclose(
        answer, np.einsum("ncxyzijk,fcijk->nfxyz", windows, kernel) + bias[:, None, None, None], atol=1e-5
    )


@pytest.mark.parametrize("padding", [[1, 0, 0, 2], {"top_pad": 1, "right_pad": 2}], ids=["numbers", "names"])
def test_padding_of_single_sides_and_slopes_that_axes_share(tmp_path: Path, padding: Any) -> None:
    layers = [
        layer("ZeroPadding2D", "pad", **keras_1.first(2, 6, 6), padding=padding),
        layer("Convolution2D", "conv", **keras_1.convolution(4, 3, "th")),
        layer("PReLU", "slope", init="zero"),
    ]
    arrays = {"conv": {"W": array(4, 2, 3, 3), "b": array(4)}, "slope": {"alphas": array(4, 1, 1)}}
    given = array(2, 2, 6, 6)
    (answer,) = load(tmp_path, layers, arrays)(given)
    padded = np.pad(given, ((0, 0), (0, 0), (1, 0), (0, 2)))
    values = correlated(padded, *arrays["conv"].values())
    assert np.allclose(answer, np.where(values > 0, values, values * arrays["slope"]["alphas"]), atol=1e-5)


def test_deconvolutions_are_refused_by_name(tmp_path: Path) -> None:
    config = keras_1.convolution(3, 3, "tf", output_shape=[None, 8, 8, 3], subsample=[2, 2], border_mode="same")
    layers = [layer("Deconvolution2D", "wider", **keras_1.first(4, 4, 2), **config)]
    with pytest.raises(BuildError, match=r"the layer 'wider', Deconvolution2D of Keras 1, is not taken\. Export the"):
        load(tmp_path, layers, {"wider": {"W": array(3, 3, 2, 3), "b": array(3)}})
