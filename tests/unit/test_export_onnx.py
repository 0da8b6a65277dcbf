"""Models that tf2onnx alone would not take, or would take for others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
import keras
from keras import ops

from model import engines
from model.build.exporting import EXPORTERS, export
from model.build.source import of_keras

pytestmark = [pytest.mark.unit, pytest.mark.slow, pytest.mark.timeout(300)]

FLOATS = np.array([[-100, -3.5, -1, -1e-3], [0, 1e-3, 0.5, 50], [1, 2, 3, 4]], np.float32)
WHOLE = np.array([[-9, -7, -1, 0], [1, 6, 7, 100], [-100, 3, -3, 2]], np.int32)
TABLE = np.arange(12, dtype=np.float32).reshape(4, 3)
GROUPS = np.array([0, 0, 1, 2])


def by_group(reduce: Callable[..., Any], values: Any) -> Any:
    return ops.transpose(reduce(ops.transpose(values), GROUPS, 3))


def functions(values: Any) -> list[Any]:
    raised = ops.expm1(ops.minimum(values, 1))
    return [keras.activations.gelu(values), raised, ops.log1p(ops.square(values))]


def whole_numbers(values: Any) -> list[Any]:
    return [ops.mod(values, 7), ops.mod(values, -7), values // 3, values // -3]


def floats_too(values: Any) -> list[Any]:
    return [ops.mod(values, 7), values // 3]


def captured(values: Any) -> list[Any]:
    normalized = keras.layers.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 4, 9, 16])(values)
    taken = ops.take(TABLE, ops.cast(ops.abs(ops.clip(values, -1, 1)), "int32"), axis=0)
    return [normalized, taken, ops.scatter_update(ops.ones_like(values), [[0, 1]], [7.0])[:, :2]]


def groups(values: Any) -> list[Any]:
    return [by_group(ops.segment_sum, values), by_group(ops.segment_max, values)]


@pytest.mark.parametrize(
    ("function", "rows"),
    [(functions, FLOATS), (whole_numbers, WHOLE), (floats_too, FLOATS), (captured, FLOATS), (groups, FLOATS)],
    ids=["functions", "whole numbers", "floats too", "captured", "groups"],
)
def test_onnx_answers_what_keras_does(tmp_path: Path, function: Callable[[Any], list[Any]], rows: np.ndarray) -> None:
    inputs = keras.Input((4,), dtype=str(rows.dtype))
    source = of_keras(keras.Model(inputs, function(inputs)))
    source.save_graph(tmp_path / "graph")
    engine = engines.load("onnx", export(EXPORTERS["onnx"], tmp_path / "graph", tmp_path, tmp_path))
    for answer, wanted in zip(engine(rows), source(rows), strict=True):
        assert answer.dtype == wanted.dtype
        assert np.allclose(answer, wanted, rtol=1e-5, atol=1e-6)


def test_zeros_before_a_maximum_pool_are_zeros(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Conv2D(4, 3), keras.layers.ZeroPadding2D(1), keras.layers.MaxPooling2D(3, 2)]
    source = of_keras(keras.Sequential([keras.Input((10, 10, 3)), *layers]))
    source.save_graph(tmp_path / "graph")
    engine = engines.load("onnx", export(EXPORTERS["onnx"], tmp_path / "graph", tmp_path, tmp_path))
    rows = np.random.default_rng(1).uniform(-1, 1, (3, 10, 10, 3)).astype(np.float32)
    assert (source(rows)[0] == 0).any()  # where all else is negative
    assert np.allclose(engine(rows)[0], source(rows)[0], atol=1e-6)
