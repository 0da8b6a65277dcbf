"""Keras itself, on TensorFlow: the reference that every compiled engine is held against."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors alone; start-up chatter hides them

import keras
import numpy as np
import tensorflow as tf

from .batches import in_batches

SAVED_MODEL = ".zip"


class Keras:
    """A model traced once into a graph, which is what `predict` does less its per-call set-up."""

    def __init__(self, graph: Callable[..., Sequence[tf.Tensor]], batch: int | None) -> None:
        self._graph = graph
        self._batch = batch

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """See Engine."""
        return in_batches(self._run, inputs, self._batch or len(inputs[0]))

    def _run(self, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        return tuple(answer.numpy() for answer in self._graph(*map(tf.constant, inputs)))


_as_written = keras.layers.TimeDistributed.call


@functools.wraps(_as_written)
def _step_by_step(self: Any, inputs: Any, training: Any = None, mask: Any = None) -> Any:
    """TimeDistributed where the number of steps is not known beforehand. Keras 3.15.1 takes that of rows for it there,
    once it is a graph: `predict` of (4, 12, 8) answers (4, 4, ...), or fails."""
    if inputs.shape[1] is not None:
        return _as_written(self, inputs, training=training, mask=mask)

    def swapped(values: Any) -> Any:
        return keras.ops.transpose(values, [1, 0, *range(2, len(values.shape))])

    steps, masks = swapped(inputs), None if mask is None else swapped(mask)

    def answer(step: Any) -> Any:
        told = {"mask": masks[step]} if masks is not None and self.layer._call_has_mask_arg else {}
        told |= {"training": training} if self.layer._call_has_training_arg else {}
        return self.layer.call(steps[step], **told)

    return swapped(keras.ops.vectorized_map(answer, keras.ops.arange(keras.ops.shape(steps)[0])))


keras.layers.TimeDistributed.call = _step_by_step


def positional(model: Any) -> Callable[..., list[tf.Tensor]]:
    """The model's call with its inputs one after the other and its outputs in a list, whatever forms it has.

    What is bfloat16 in it is float32 here, in and out.
    """
    functional = getattr(model, "_functional", None) or model  # a Sequential holds one
    form = getattr(functional, "_inputs_struct", None)
    if form is None:
        return lambda *inputs: widened(keras.tree.flatten(model(*inputs, training=False)))
    return lambda *inputs: widened(keras.tree.flatten(model(keras.tree.pack_sequence_as(form, inputs), training=False)))


def carried(dtype: str) -> str:
    """The dtype in which a tensor comes in and goes out: NumPy knows no bfloat16, and float32 holds its numbers."""
    return "float32" if dtype == "bfloat16" else dtype


def widened(answers: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The tensors, each as it is carried."""
    return [tf.cast(answer, carried(answer.dtype.name)) for answer in answers]


def load(file: Path, threads: int) -> Keras:
    """Load a .keras file, or a zipped SavedModel of one function, `input_0`, … to `output_0`, ….

    Only safe files load: Keras refuses code inside them by default, and a SavedModel holds a graph alone.
    """
    with contextlib.suppress(RuntimeError):  # TensorFlow runs already, and its threads cannot be changed
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    if file.suffix == SAVED_MODEL:
        return _load_saved_model(file)
    model = keras.models.load_model(file, compile=False)
    signature = [tf.TensorSpec(tensor.shape, carried(tensor.dtype)) for tensor in model.inputs]
    graph = tf.function(positional(model), input_signature=signature)
    return Keras(graph, signature[0].shape[0])


def _load_saved_model(file: Path) -> Keras:
    with tempfile.TemporaryDirectory(prefix="kiln-") as folder, zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
        loaded = tf.saved_model.load(folder)
    function = loaded.signatures["serving_default"]
    names = [f"input_{number}" for number in range(len(function.structured_input_signature[1]))]
    outputs = [f"output_{number}" for number in range(len(function.structured_outputs))]

    def graph(*inputs: tf.Tensor) -> list[tf.Tensor]:
        answers = function(**dict(zip(names, inputs, strict=True)))
        return [answers[name] for name in outputs]

    graph.loaded = loaded  # type: ignore[attr-defined]  # the function holds no reference to its variables
    return Keras(graph, function.structured_input_signature[1]["input_0"].shape[0])
