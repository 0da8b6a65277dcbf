"""Keras itself, on TensorFlow: the reference that every compiled engine is held against."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors alone; start-up chatter hides them

import keras
import numpy as np
import tensorflow as tf


class Keras:
    """A Keras model traced once into a graph, which is what `predict` does less its per-call set-up."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]
        form = model._inputs_struct  # as the model's call takes them: one, a list or a dict
        self._graph = tf.function(
            lambda *inputs: keras.tree.flatten(model(keras.tree.pack_sequence_as(form, inputs), training=False)),
            input_signature=signature,
        )

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """See Engine."""
        return tuple(answer.numpy() for answer in self._graph(*map(tf.constant, inputs)))


def load(file: Path) -> Keras:
    """Load a .keras file. Only safe files load: Keras refuses code inside them by default."""
    return Keras(keras.models.load_model(file, compile=False))
