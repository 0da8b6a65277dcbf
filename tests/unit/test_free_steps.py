"""TimeDistributed over steps of which nobody knows the number beforehand: Keras 3.15.1 counts rows there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model import engines

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
import keras
from keras import layers

pytestmark = [pytest.mark.unit, pytest.mark.slow, pytest.mark.timeout(300)]


def series() -> keras.Model:
    kept = layers.LSTM(4, return_sequences=True)
    return keras.Sequential([keras.Input((None, 8)), kept, layers.TimeDistributed(layers.Dense(3))])


def tagger() -> keras.Model:
    words = layers.Embedding(50, 4, mask_zero=True)
    both = layers.Bidirectional(layers.LSTM(4, return_sequences=True))
    labels = layers.TimeDistributed(layers.Dense(5, "softmax"))
    return keras.Sequential([keras.Input((None,), dtype="int32"), words, both, labels])


def video() -> keras.Model:
    each = layers.TimeDistributed(layers.Conv2D(4, 3))
    return keras.Sequential([keras.Input((None, 8, 8, 3)), each, layers.TimeDistributed(layers.Flatten())])


@pytest.mark.parametrize(
    ("make", "shape"), [(series, (8,)), (tagger, ()), (video, (8, 8, 3))], ids=["series", "tagger", "video"]
)
def test_each_step_is_answered(tmp_path: Path, make: Callable[[], keras.Model], shape: tuple[int, ...]) -> None:
    keras.utils.set_random_seed(2)
    model = make()
    model.save(tmp_path / "model.keras")
    engine = engines.load("keras", tmp_path / "model.keras")
    rng = np.random.default_rng(3)
    for rows, steps in ((1, 7), (4, 10), (4, 12), (5, 2)):
        given = rng.normal(size=(rows, steps, *shape)).astype(np.float32)
        if not shape:
            given = rng.integers(0, 50, (rows, steps), np.int32)
        wanted = np.asarray(model(given))  # all sizes are known there
        (found,) = engine(given)
        assert found.shape == wanted.shape
        assert np.allclose(found, wanted, atol=1e-6)
