"""Samples that 8 bits are calibrated on, of several inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model import engines

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
import keras
from keras import layers

from model.build import export_litert
from model.build.source import of_keras

pytestmark = [pytest.mark.unit, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.filterwarnings("ignore:\\s*Warning. tf.lite.Interpreter is deprecated:UserWarning")  # the converter's own
@pytest.mark.parametrize("turned", [False, True])
def test_each_input_is_calibrated_on_its_own_samples(tmp_path: Path, turned: bool) -> None:
    keras.utils.set_random_seed(2)
    picture, numbers = keras.Input((16, 16, 3), name="z"), keras.Input((5,), name="a")
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(picture))
    answer = layers.Dense(3)(layers.Concatenate()([pooled, numbers]))
    model = keras.Model([numbers, picture] if turned else [picture, numbers], answer)
    of_keras(model).save_graph(tmp_path / "graph")
    random = np.random.default_rng(0)
    rows = [random.normal(size=(20, *entered.shape[1:])).astype(np.float32) for entered in model.inputs]
    np.savez(tmp_path / "samples.npz", **{f"input_{place}": values for place, values in enumerate(rows)})
    file = tmp_path / "model.int8.tflite"
    file.write_bytes(export_litert.convert(tmp_path / "graph", tmp_path / "samples.npz", int8=True))
    wanted = model.predict_on_batch(rows)
    assert np.abs(engines.load("litert-int8", file)(*rows)[0] - wanted).max() < 0.05 * np.abs(wanted).max()
