"""What is done to spare memory changes nothing of the file, and where it fails tf2onnx' own way is taken."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
import keras
from tf2onnx import constants, optimizer
from tf2onnx.graph import Node

from model.build import export_onnx, graphs, onnx_memory, onnx_ops
from model.build.source import of_keras

pytestmark = [pytest.mark.unit, pytest.mark.slow, pytest.mark.timeout(300)]

VARIABLE = constants.ENV_TF2ONNX_CATCH_ERRORS


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(VARIABLE, "FALSE")
    monkeypatch.delenv(VARIABLE)  # what is set from now on goes with the test
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(40, "gelu"),
            layers.Dense(3, "softmax"),
        ]
    )
    of_keras(model).save_graph(tmp_path / "graph")
    onnx_ops.register(export_onnx.OPSET)
    loaded = graphs.read(tmp_path / "graph")
    yield graphs.wrapped(loaded)
    del loaded
    gc.collect()


def told(model: Any) -> list[Any]:
    """All but the names, which tf2onnx numbers through, and the order of the numbers, which hangs on them."""
    nodes = [(node.op_type, [each.SerializeToString() for each in node.attribute]) for node in model.graph.node]
    return [nodes, sorted((list(each.dims), each.data_type, each.raw_data) for each in model.graph.initializer)]


def test_the_file_is_the_same(function: Any) -> None:
    usual = Node.update_proto
    plain = export_onnx._converted(function)
    with onnx_memory.spared():
        spared = onnx_memory.without_copies(lambda: export_onnx._converted(function))
        assert os.environ[VARIABLE]
    assert Node.update_proto is usual
    assert told(spared) == told(plain)


def test_an_optimiser_that_fails_is_left_out(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Broken(optimizer.IdentityOptimizer):
        def optimize(self, graph: Any, iteration: int) -> Any:
            calls.append(os.environ.get(VARIABLE))
            raise RuntimeError("broken")

    monkeypatch.setitem(optimizer._optimizers, "remove_identity", Broken)
    with onnx_memory.spared():
        model = onnx_memory.without_copies(lambda: export_onnx._converted(function))
    assert calls[:2] == ["FALSE", None]
    assert [entry.name for entry in model.graph.output] == ["output_0"]
