"""Small Keras models, and the LiteRT files of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from model.build import export_litert
from model.build.source import of_keras


def network(shape: Sequence[int], *used: keras.Layer | Callable[[Any], Any]) -> keras.Model:
    keras.utils.set_random_seed(5)
    entered = keras.Input(tuple(shape))
    left = entered
    for layer in used:
        left = layer(left)
    return keras.Model(entered, left)


def exported(model: keras.Model, folder: Path) -> Path:
    of_keras(model).save_graph(folder / "graph")
    file = folder / "model.tflite"
    file.write_bytes(export_litert.convert(folder / "graph", None))
    return file
