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
        spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        self._graph = tf.function(lambda x: model(x, training=False), input_signature=[spec])

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """float32 (n, height, width, channels) -> float32 (n, labels)."""
        answer: np.ndarray = self._graph(tf.constant(batch)).numpy()
        return answer


def load(file: Path) -> Keras:
    """Load a .keras file. Only safe files load: Keras refuses code inside them by default."""
    return Keras(keras.models.load_model(file, compile=False))
