"""Arithmetic and preprocess_input within models of tf.keras before 2.4: a layer for each of TensorFlow's operations."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import old_keras
from tests.old_keras import functional, node, taken

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
import keras  # noqa: E402

from model.build import loaders  # noqa: E402
from model.build.errors import BuildError  # noqa: E402

pytestmark = [pytest.mark.unit, pytest.mark.slow]

FLOAT, INT = {"type": "DT_FLOAT"}, {"type": "DT_INT32"}
MEAN = [103.939, 116.779, 123.68]


def operation(
    kind: str, name: str, *before: str, constants: dict[str, Any] | None = None, **attributes: Any
) -> dict[str, Any]:
    """The layer as tf.keras 2.3 wrote it: its own name has a beginning that the operation's lacks."""
    definition = {"name": name, "op": kind, "input": [*before, f"{name}/y"], "attr": attributes}
    layer = node("TensorFlowOpLayer", name, *before, node_def=definition, constants=constants or {}, dtype="float32")
    return {**layer, "name": f"tf_op_layer_{name}"}


def with_head(
    file: Path, layers: list[dict[str, Any]], shape: tuple[int, ...], last: str
) -> tuple[Path, keras.layers.Layer]:
    """The layers with a Dense behind them, so that there are weights."""
    dense = keras.layers.Dense(2)
    dense.build((None, *shape[:-1], 3))
    layers = [
        taken("x", *shape),
        *layers,
        node("Dense", "out", last, units=2, activation="linear", **old_keras.TRAINED),
    ]
    weights = {"out": [(f"out/{number}:0", np.asarray(value)) for number, value in enumerate(dense.get_weights())]}
    return old_keras.save_model(file, functional("m", layers, ["x"], [["out", 0, 0]]), weights), dense


def assert_same(file: Path, dense: keras.layers.Layer, before: Callable[[np.ndarray], np.ndarray]) -> None:
    source = loaders.load(str(file), None, allow_unsafe=False)
    given = np.random.default_rng(1).normal(size=(4, *source.inputs[0].shape[1:])).astype(np.float32)
    assert np.allclose(source(given)[0], dense(before(given)), atol=1e-4)
    assert source.model is None, "Keras alone would not load it again"


def test_what_mobilenets_preprocess_input_makes(tmp_path: Path) -> None:
    layers = [
        operation("RealDiv", "model/RealDiv", "x", constants={"1": 127.5}, T=FLOAT),
        operation("Sub", "Sub", "tf_op_layer_model/RealDiv", constants={"1": 1.0}, T=FLOAT),
    ]
    file, dense = with_head(tmp_path / "m.h5", layers, (4, 4, 3), "tf_op_layer_Sub")
    assert_same(file, dense, lambda pixels: pixels / 127.5 - 1)


def test_what_resnets_preprocess_input_makes(tmp_path: Path) -> None:
    masks = {"begin_mask": {"i": "0"}, "end_mask": {"i": "0"}, "ellipsis_mask": {"i": "1"}, "new_axis_mask": {"i": "0"}}
    layers = [
        operation(
            "StridedSlice",
            "strided_slice",
            "x",
            constants={"1": [0, 0], "2": [0, 0], "3": [1, -1]},
            T=FLOAT,
            Index=INT,
            shrink_axis_mask={"i": "0"},
            **{**masks, "begin_mask": {"i": "2"}, "end_mask": {"i": "2"}},
        ),
        operation(
            "BiasAdd",
            "BiasAdd",
            "tf_op_layer_strided_slice",
            constants={"1": [-value for value in MEAN]},
            T=FLOAT,
            data_format={"s": base64.b64encode(b"NHWC").decode()},
        ),
    ]
    file, dense = with_head(tmp_path / "m.h5", layers, (4, 4, 3), "tf_op_layer_BiasAdd")
    assert_same(file, dense, lambda pixels: pixels[..., ::-1] - np.float32(MEAN))


def test_several_operands_in_any_place(tmp_path: Path) -> None:
    layers = [
        operation("Sub", "less", "x", constants={"0": 1.0}, T=FLOAT),
        operation("Mul", "times", "x", "tf_op_layer_less", T=FLOAT),
        operation(
            "ConcatV2",
            "concat",
            "tf_op_layer_times",
            "x",
            constants={"2": 1},
            T=FLOAT,
            Tidx=INT,
            N={"i": "2"},
        ),
        operation(
            "Mean",
            "Mean",
            "tf_op_layer_concat",
            constants={"1": [1]},
            T=FLOAT,
            Tidx=INT,
            keep_dims={"b": True},
        ),
    ]
    file, dense = with_head(tmp_path / "m.h5", layers, (5, 3), "tf_op_layer_Mean")
    assert_same(file, dense, lambda x: np.concatenate([x * (1 - x), x], 1).mean(1, keepdims=True))


def test_an_operation_as_tensorflow_2_0_wrote_it(tmp_path: Path) -> None:
    definition = tf.compat.v1.NodeDef(name="Neg", op="Neg", input=["x"])
    definition.attr["T"].type = tf.float32.as_datatype_enum
    layer = operation("Neg", "Neg", "x")
    layer["config"]["node_def"] = definition.SerializeToString().decode()
    file, dense = with_head(tmp_path / "m.h5", [layer], (3,), "tf_op_layer_Neg")
    assert_same(file, dense, lambda x: -x)


@pytest.mark.parametrize("kind", ["ReadFile", "WriteFile", "PyFunc", "VarHandleOp", "NoSuchOp"])
def test_an_operation_that_does_more_than_compute_is_refused(tmp_path: Path, kind: str) -> None:
    file, _ = with_head(tmp_path / "m.h5", [operation(kind, "op", "x")], (3,), "tf_op_layer_op")
    with pytest.raises(BuildError, match=f"operation '{kind}', which is not taken"):
        loaders.load(str(file), None, allow_unsafe=False)
