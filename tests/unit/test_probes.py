"""Rows at the edges, which random rows do not meet: large numbers, zeros and negative whole numbers."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
import keras  # noqa: E402

from model import engines  # noqa: E402
from model.build import probes  # noqa: E402
from model.build.assemble import Request, build  # noqa: E402
from model.build.errors import BuildError  # noqa: E402
from model.build.source import of_keras  # noqa: E402

pytestmark = [pytest.mark.unit, pytest.mark.slow, pytest.mark.timeout(600)]

ROW = np.zeros((1, 4), np.float32)


def whole(*numbers: int) -> np.ndarray:
    return np.array([numbers], np.int32)


def smooth(values: Any) -> list[Any]:
    layers = keras.layers
    kinds = layers.Activation("softplus"), layers.Activation("log_sigmoid"), layers.UnitNormalization()
    return [layer(values) for layer in kinds]


MODELS = {
    "smooth": (smooth, np.array([[-1e4, -100, 100, 1e4], [0, 0, 0, 0]], np.float32)),
    "whole": (lambda values: [keras.ops.mod(values, 7), values // 3], whole(-1, -20, 5, 9)),
    "multi_hot": (keras.layers.CategoryEncoding(6, output_mode="multi_hot"), whole(0, 1, -1, 2)),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_engine_that_is_kept_does_at_the_edges_what_keras_does(tmp_path: Path, name: str) -> None:
    function, rows = MODELS[name]
    inputs = keras.Input((4,), dtype=str(rows.dtype))
    source = of_keras(keras.Model(inputs, function(inputs)), graph_only=True)
    bundle = build(source, Request(tmp_path, "m", "1"))
    for engine in bundle.engines:
        loaded = engines.load(engine, bundle.check_file(bundle.engine_file(engine)))
        try:
            wanted = source(rows)
        except tf.errors.InvalidArgumentError:
            with pytest.raises(Exception, match="must be"):
                loaded(rows)
        else:
            assert all(map(functools.partial(np.allclose, rtol=1e-5), loaded(rows), wanted)), engine


def asked(function: str) -> probes.Ask:
    return lambda inputs: [np.asarray(getattr(keras.ops, function)(values)) for values in inputs]


def problem(function: str, other: str) -> str:
    """Why what computes the other function is thrown out."""
    found = probes.ask(asked(function), [ROW], [])
    answers = [asked(other)(probe.inputs) for probe in found]
    return probes.problem(found, answers, [np.ones((9, 4), np.float32)])


def test_what_keras_answers_is_right_and_what_differs_is_told_with_figures() -> None:
    assert problem("relu", "relu") == ""
    assert problem("relu", "relu6") == "answers 6 to inputs of 100, and Keras 100"
    assert problem("relu", "log") == "answers -inf to inputs of zeros, and Keras 0"


def test_nothing_is_said_where_keras_has_no_number_or_a_breath_changes_it() -> None:
    assert problem("sqrt", "sqrt") == ""
    assert problem("sin", "cos").startswith("answers 1 to inputs of zeros")
    large = [probe for probe in probes.ask(asked("sin"), [ROW], []) if probe.name == "10000"]
    assert probes.problem(large, [[np.cos(large[0].inputs[0])]], [ROW]) == ""


def test_what_keras_refuses_is_to_be_refused_and_its_floats_are_seen_all_the_same() -> None:
    def refuse_negative(inputs: list[np.ndarray]) -> list[np.ndarray]:
        if inputs[0].min() < 0:
            raise BuildError("negative")
        return [inputs[1]]

    found = probes.ask(refuse_negative, [whole(1, 0), ROW], [])
    assert {probe.inputs[1].max() for probe in found if probe.answers} == {0, 100, 1e4, -100, -1e4}
    answers = [probe.answers for probe in found]
    assert probes.problem(found, answers, [ROW]) == ""
    assert probes.problem(found, [[probe.inputs[1]] for probe in found], [ROW]).startswith("takes inputs of -")
    assert probes.problem(found, [None for _ in found], [ROW]).startswith("refuses inputs of zeros")


def test_text_alone_has_no_edges() -> None:
    assert probes.ask(asked("relu"), [np.array([["a"]])], []) == []
