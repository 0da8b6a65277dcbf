"""Weights that XNNPACK has copied: their memory is given back, and answers stay what they were."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import engines, loading
from model.bundle import Bundle
from model.engines import packed
from model.errors import BundleError

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
import keras  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402
from keras import layers  # noqa: E402

from model import disk, preprocess  # noqa: E402
from model.build.assemble import Request, build  # noqa: E402
from model.build.exporting import EXPORTERS  # noqa: E402
from model.build.source import of_keras  # noqa: E402
from tests.networks import exported, network  # noqa: E402

pytestmark = [
    pytest.mark.unit,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="memory is given back on Linux alone"),
]

PAGE = mmap.PAGESIZE
WIDE = (200, 200, 3)  # so large that many never run at once
CONSTANT = np.random.default_rng(4).normal(size=(200, 200, 16)).astype(np.float32)


def picture_model() -> keras.Model:
    return network(
        WIDE,
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.DepthwiseConv2D(5, 4),
        layers.Conv2D(512, 4, 4),
        layers.Conv2D(256, 3, 2),
        layers.Conv2DTranspose(32, 5, 2),
        layers.Flatten(),
        layers.Dense(40, "softmax"),
    )


def given(file: Path) -> tuple[int, int, Callable[[], list[np.ndarray]]]:
    """(bytes given back, bytes of the file, what runs it); the answers before and after are compared."""
    content = file.read_bytes()
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    entered, made = interpreter.get_input_details(), interpreter.get_output_details()
    rows = np.random.default_rng(0).normal(size=entered[0]["shape"]).astype(entered[0]["dtype"])

    def run() -> list[np.ndarray]:
        interpreter.set_tensor(entered[0]["index"], rows)
        interpreter.invoke()
        return [interpreter.get_tensor(entry["index"]) for entry in made]

    before = run()
    count = packed.let_go(interpreter, content)
    for found, wanted in zip(run(), before, strict=True):
        np.testing.assert_array_equal(found, wanted)
    return count, len(content), run


def all_zero(content: bytes) -> int:
    """Pages of it that hold nothing."""
    pages = np.frombuffer(content, np.uint8)[: len(content) // PAGE * PAGE].reshape(-1, PAGE)
    return int((~pages.any(axis=1)).sum())


def test_nearly_all_of_a_model_of_pictures(tmp_path: Path) -> None:
    count, size, _ = given(exported(picture_model(), tmp_path))
    assert count > 0.95 * size > 1e6


def test_weights_stored_in_16_bits(tmp_path: Path) -> None:
    model = picture_model()
    model.set_weights([values.astype(np.float16).astype(np.float32) for values in model.get_weights()])
    count, size, _ = given(exported(model, tmp_path))
    assert count > 0.9 * size


def test_numbers_that_are_read_as_they_are_stay(tmp_path: Path) -> None:
    model = network(WIDE, layers.Conv2D(16, 3, padding="same"), lambda tensor: tensor * CONSTANT, layers.ReLU())
    count, size, _ = given(exported(model, tmp_path))
    assert count < size - CONSTANT.nbytes


def test_a_kernel_that_is_also_a_factor_stays(tmp_path: Path) -> None:
    kernel = np.random.default_rng(8).normal(size=(1, 1, 400, 400)).astype(np.float32)

    def both(tensor: Any) -> Any:
        convolved = layers.Conv2D(400, 1, use_bias=False, kernel_initializer=lambda *_, **__: keras.ops.array(kernel))
        return convolved(tensor) * keras.ops.array(kernel[0])

    count, size, _ = given(exported(network((1, 400, 400), both), tmp_path))
    assert size - count > kernel.nbytes


def test_several_threads_at_once(tmp_path: Path) -> None:
    engine = engines.load("litert", exported(picture_model(), tmp_path), threads=2)
    rows = np.random.default_rng(1).normal(size=(9, *WIDE)).astype(np.float32)
    before = engine(rows)
    assert engines.slim(engine)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: engine(rows), range(8)):
            np.testing.assert_array_equal(found[0], before[0])


def test_nothing_where_not_all_is_delegated(tmp_path: Path) -> None:
    model = network((64,), layers.Embedding(1000, 64), layers.Flatten(), layers.Dense(64))
    count, _, _ = given(exported(model, tmp_path))
    assert count == 0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    request = Request(tmp_path_factory.mktemp("store"), "wide", "1", engine="litert")
    return build(of_keras(picture_model()), request, exporters={"litert": EXPORTERS["litert"]})


def load(bundle: Bundle) -> Any:
    return loading.load(
        bundle.folder,
        disk.of_bundle(disk.stats(bundle.folder), bundle),
        preprocess.Limits(),
        "litert",
        loading.Tuning(),
    )


def test_a_service_holds_them_once(bundle: Bundle) -> None:
    model = load(bundle)
    engine = model.engine
    assert isinstance(engine, engines.litert.LiteRT)
    assert all_zero(engine._content) > 0.95 * len(engine._content) // PAGE
    assert engines.slim(engine)  # already
    bundle.prove(engine, "litert")
    engine._own._told = 10**6
    with pytest.raises(ValueError, match="Got"):
        engine(np.zeros((1, 3), np.float32))
    bundle.prove(engine, "litert")


def test_where_they_are_read_after_all_the_file_is_held_whole(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = []

    class Reading:
        def __init__(self, file: Path, threads: int) -> None:
            self.engine, self.slimmed = engines.litert.LiteRT(file, threads), False
            made.append(self)

        def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
            return tuple(values * (not self.slimmed) for values in self.engine(*inputs))

        def slim(self) -> bool:
            self.slimmed = True
            return True

    monkeypatch.setattr(engines.litert, "load", Reading)
    with caplog.at_level("WARNING"):
        assert load(bundle).engine is made[1]
    assert [each.slimmed for each in made] == [True, False]
    assert "only with its whole file in memory: The engine's golden answers differ" in caplog.text
    monkeypatch.setattr(Reading, "__call__", lambda self, *inputs: (np.zeros((len(inputs[0]), 40), np.float32),))
    with pytest.raises(BundleError, match="golden"):
        load(bundle)


def test_small_inputs_keep_what_many_at_once_are_made_of(tmp_path: Path) -> None:
    engine = engines.load("litert", exported(network((64,), layers.Dense(512), layers.Dense(512)), tmp_path))
    assert not engines.slim(engine)
    rows = np.ones((100, 64), np.float32)
    assert engine(rows)[0].shape == (100, 512)
    assert not engines.slim(lambda *inputs: inputs)
