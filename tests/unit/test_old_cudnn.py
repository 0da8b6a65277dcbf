"""Layers that ran on NVIDIA's library alone, CuDNNLSTM and CuDNNGRU: usual in models of text of 2018 and 2019."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import old_keras
from tests.old_keras import functional, layer, node, taken, within

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
import keras

from model.build import loaders

pytestmark = [pytest.mark.unit, pytest.mark.slow]

L = keras.layers
STEPS, SIZE, UNITS = 5, 3, 4
KINDS = ["CuDNNLSTM", "CuDNNGRU"]
COMMON = {"units": UNITS, "stateful": False, "go_backwards": False, "return_state": False, **old_keras.TRAINED}
del COMMON["use_bias"]  # these layers had no such choice


def cudnn(rng: np.random.Generator, kind: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(the arrays as the file has them, those of today's layer): matrices of (to, from), two biases."""
    gates = 4 if kind == "CuDNNLSTM" else 3
    inputs = rng.normal(size=(gates, UNITS, SIZE)).astype(np.float32)
    states = rng.normal(size=(gates, UNITS, UNITS)).astype(np.float32)
    biases = rng.normal(size=(2, gates * UNITS)).astype(np.float32)
    saved = [
        np.hstack([gate.reshape(SIZE, UNITS) for gate in inputs]),  # the same numbers in the shape of an LSTM's
        np.hstack(list(states)),
        biases.reshape(-1),
    ]
    bias = biases if kind == "CuDNNGRU" else biases[0] + biases[1]
    return saved, [np.hstack([gate.T for gate in inputs]), np.hstack([gate.T for gate in states]), bias]


def today(kind: str, **options: Any) -> L.Layer:
    return L.LSTM(UNITS, **options) if kind == "CuDNNLSTM" else L.GRU(UNITS, **options)


def named(name: str, arrays: list[np.ndarray]) -> list[tuple[str, np.ndarray]]:
    return [(f"{name}/{number}:0", values) for number, values in enumerate(arrays)]


def assert_same(file: Path, model: keras.Model, weights: Path | None = None) -> None:
    source = loaders.load(str(file), weights, allow_unsafe=False)
    given = np.random.default_rng(2).normal(size=(4, STEPS, SIZE)).astype(np.float32)
    assert np.allclose(source(given)[0], model(given), atol=1e-5)


@pytest.mark.parametrize("form", ["whole", "two files"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_by_itself(tmp_path: Path, kind: str, form: str) -> None:
    saved, wanted = cudnn(np.random.default_rng(1), kind)
    layers = [layer(kind, "r", batch_input_shape=[None, STEPS, SIZE], dtype="float32", return_sequences=True, **COMMON)]
    model = keras.Sequential([keras.Input((STEPS, SIZE)), today(kind, return_sequences=True)])
    model.set_weights(wanted)
    weights = {"r": named("r", saved)}
    if form == "whole":
        assert_same(old_keras.save(tmp_path / "m.h5", layers, weights), model)
    else:
        (tmp_path / "m.json").write_text(old_keras.architecture(layers))
        assert_same(tmp_path / "m.json", model, old_keras.save_weights(tmp_path / "w.h5", layers, weights))


@pytest.mark.parametrize("kind", KINDS)
def test_both_directions_within_a_model_within_a_model(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    (there, there_now), (back, back_now) = cudnn(rng, kind), cudnn(rng, kind)
    both = layer("Bidirectional", "both", merge_mode="concat", layer=layer(kind, "r", return_sequences=False, **COMMON))
    reader = [taken("words", STEPS, SIZE), {**both, "name": "both", "inbound_nodes": [[["words", 0, 0, {}]]]}]
    outer = [
        taken("text", STEPS, SIZE),
        within(functional("reader", reader, ["words"], [["both", 0, 0]]), [["text", 0, 0, {}]]),
        node("Dense", "out", [["reader", 1, 0, {}]], units=2, activation="linear", **old_keras.TRAINED),
    ]
    model = keras.Sequential([keras.Input((STEPS, SIZE)), L.Bidirectional(today(kind)), L.Dense(2)])
    dense = [rng.normal(size=shape).astype(np.float32) for shape in ((2 * UNITS, 2), (2,))]
    model.set_weights([*there_now, *back_now, *dense])
    weights = {"reader": named("both", [*there, *back]), "out": named("out", dense)}
    old = functional("m", outer, ["text"], [["out", 0, 0]])
    assert_same(old_keras.save_model(tmp_path / "m.h5", old, weights), model)


def test_an_lstm_takes_the_weights_of_its_cudnn_form(tmp_path: Path) -> None:
    """How such a model was moved to machines without a GPU."""
    saved, wanted = cudnn(np.random.default_rng(1), "CuDNNLSTM")
    options = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, "return_sequences": False}
    layers = [layer("LSTM", "r", batch_input_shape=[None, STEPS, SIZE], dtype="float32", **options, **COMMON)]
    model = keras.Sequential([keras.Input((STEPS, SIZE)), L.LSTM(UNITS)])
    model.set_weights(wanted)
    assert_same(old_keras.save(tmp_path / "m.h5", layers, {"r": named("r", saved)}), model)


def test_a_decoder_starts_with_the_state_of_an_encoder(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (first, first_now), (second, second_now) = cudnn(rng, "CuDNNGRU"), cudnn(rng, "CuDNNGRU")
    state = {**COMMON, "return_state": True}
    layers = [
        taken("text", STEPS, SIZE),
        node("CuDNNGRU", "encoder", "text", return_sequences=False, **state),
        node("CuDNNGRU", "decoder", [["text", 0, 0, {}], ["encoder", 0, 1, {}]], return_sequences=False, **COMMON),
    ]
    text = keras.Input((STEPS, SIZE))
    parts = [L.GRU(UNITS, return_state=True), L.GRU(UNITS)]
    model = keras.Model(text, parts[1](text, initial_state=parts[0](text)[1]))
    model.set_weights([*first_now, *second_now])
    weights = {"encoder": named("encoder", first), "decoder": named("decoder", second)}
    old = functional("m", layers, ["text"], [["decoder", 0, 0]])
    assert_same(old_keras.save_model(tmp_path / "m.h5", old, weights), model)
