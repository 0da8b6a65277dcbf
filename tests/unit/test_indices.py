"""Indices that TensorFlow and ONNX take for different things."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
tf2onnx = pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")

from model.build import indices  # noqa: E402

pytestmark = [pytest.mark.unit, pytest.mark.slow]


@pytest.mark.parametrize(
    ("function", "good", "bad"),
    [
        (lambda places: tf.one_hot(places, 4), [0, 3], [0, -1]),  # none of them is hot
        (lambda places: tf.scatter_nd(places, tf.ones([1]), [4, 3]), [1, 2], [-1, 0]),
        (lambda places: tf.gather_nd(tf.ones([4, 3]), places), [1, 2], [-1, 0]),
    ],
    ids=["one_hot", "scatter_nd", "gather_nd"],
)
def test_negative_places_are_what_tensorflow_takes_them_for(
    function: Callable[[Any], Any], good: list[int], bad: list[int]
) -> None:
    whole = tf.function(function, input_signature=[tf.TensorSpec([1, 2], tf.int32)])
    model, _ = tf2onnx.convert.from_function(whole, input_signature=whole.input_signature, opset=18)
    indices.refuse_negative(model.graph)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    [name] = [entry.name for entry in session.get_inputs()]
    for places in (good, bad):
        row = np.array([places], np.int32)
        try:
            expected = whole(tf.constant(row)).numpy()
        except tf.errors.InvalidArgumentError:
            with pytest.raises(Exception, match=r"out of bounds|invalid ind(ice|ex)"):
                session.run(None, {name: row})
        else:
            assert np.array_equal(session.run(None, {name: row})[0], expected)
