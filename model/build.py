"""A Keras model -> a verified bundle in the store.

Only here, in engines/keras.py and in training/ are Keras and TensorFlow imported.
"""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from . import bundle as bundles
from . import engines
from .bundle import Bundle, File, Tensor
from .errors import BundleError
from .preprocess import Preprocessing

TOLERANCE = 1e-3


def build(
    model: keras.Model,
    *,
    store: Path,
    name: str,
    version: str,
    labels: Sequence[str],
    preprocessing: Preprocessing,
    golden: np.ndarray,
    built_from: dict[str, Any],
) -> Bundle:
    """Compile, record Keras' own answers, prove the compiled file against them, and put the bundle in the store.

    model: float32 (batch, height, width, 3) -> float32 (batch, labels), probabilities.
    golden: float32 (n, height, width, 3), inputs whose answers are recorded.
    The bundle appears in the store whole or not at all. Raises BundleError when the compiled file does not
    answer as Keras does, or when the version exists.
    """
    target = store / name / version
    if target.exists():
        raise BundleError(f"{target} exists. Choose another version or remove it first.")
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        model.save(work / "model.keras")
        (work / "model.tflite").write_bytes(_litert(model))
        np.savez_compressed(work / "golden.npz", input_0=golden, output_0=np.asarray(model(golden, training=False)))
        bundle = Bundle(
            folder=work,
            name=name,
            version=version,
            labels=tuple(labels),
            scores="as_is",
            inputs=(Tensor("image", "float32", model.input_shape),),
            outputs=(Tensor("probabilities", "float32", model.output_shape),),
            preprocessing=preprocessing,
            engines={"litert": File.of(work / "model.tflite"), "keras": File.of(work / "model.keras")},
            default_engine="litert",
            golden=File.of(work / "golden.npz"),
            tolerance=TOLERANCE,
            built=_how(built_from),
        )
        for engine in bundle.engines:
            bundle.prove(engines.load(engine, bundle.check_file(bundle.engine_file(engine))))
        bundles.write(bundle)
        work.chmod(0o755)
        work.replace(target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return bundles.read(target)


def _litert(model: keras.Model) -> bytes:
    """LiteRT with float16 weights: half the size; exact where the weights are float16 values already."""
    fixed = keras.layers.Input(batch_shape=(1, *model.input_shape[1:]), name="input_0")
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(fixed, model(fixed)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    compiled: bytes = converter.convert()
    return compiled


def _how(built_from: dict[str, Any]) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"at": now, "keras": keras.__version__, "tensorflow": tf.__version__, **built_from}
