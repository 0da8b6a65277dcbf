"""The .keras file as .onnx, by Keras' own export: `python -m loadtest.peers.onnx_file MODEL FILE`."""

from __future__ import annotations

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np


def main(source: str, file: str) -> None:
    """Convert."""
    model = keras.models.load_model(source, compile=False)
    model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports what has been called
    model.export(file, format="onnx", verbose=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
