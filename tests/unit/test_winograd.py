"""Convolutions by Winograd's method: the same answers, where it gains and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import engines

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
import keras  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402
from keras import layers  # noqa: E402

from model.build import compiled, winograd  # noqa: E402
from model.build.assemble import GAIN_OF_REWRITTEN, Request, build  # noqa: E402
from model.build.errors import BuildError  # noqa: E402
from model.build.exporting import EXPORTERS, Exporter, NothingToGain, export  # noqa: E402
from model.build.source import of_keras  # noqa: E402
from tests.networks import exported, network  # noqa: E402

pytestmark = [pytest.mark.unit, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]


def convolution(filters: int = 64, **options: Any) -> keras.Layer:
    bias = keras.initializers.RandomNormal(seed=7)
    return layers.Conv2D(filters, 3, bias_initializer=bias, **options)


def kinds(content: bytes) -> list[int]:
    file = compiled.Compiled(content)
    return [file.kind(operator) for operator in file.operators]


def partitions(content: bytes) -> int:
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return [each["op_name"] for each in interpreter._get_ops_details()].count("DELEGATE")


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((16, 16, 64), {"padding": "same"}),  # tiles of 2
        ((15, 17, 64), {"padding": "same", "activation": "relu"}),
        ((14, 20, 80), {"padding": "valid", "activation": "relu6", "filters": 96}),
        ((13, 12, 64), {"padding": "valid", "use_bias": False}),
        ((28, 28, 64), {"padding": "same"}),  # of 4
        ((31, 26, 64), {"padding": "same", "activation": "relu"}),
        ((33, 30, 128), {"padding": "valid", "activation": "relu", "filters": 40}),
    ],
)
def test_the_answers_are_those_of_the_convolution(tmp_path: Path, shape: tuple[int, ...], options: Any) -> None:
    model = network(shape, convolution(**options))
    file = exported(model, tmp_path)
    content = winograd.rewritten(file.read_bytes())
    assert content is not None
    assert kinds(content).count(compiled.OP.CONV_2D) in (16, 36)
    assert partitions(content) == 1
    other = tmp_path / "other.tflite"
    other.write_bytes(content)
    rows = np.random.default_rng(0).normal(size=(5, *shape)).astype(np.float32)
    wanted = model.predict_on_batch(rows)
    (found,) = engines.load("litert-winograd", other)(rows)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 3e-5 * np.abs(wanted).max()


def test_small_pictures_that_run_many_at_once_are_answered_alike(tmp_path: Path) -> None:
    model = network((24, 24, 3), convolution(), convolution(padding="same", activation="relu"), layers.Flatten())
    content = winograd.rewritten(exported(model, tmp_path).read_bytes())
    assert content is not None
    file = tmp_path / "other.tflite"
    file.write_bytes(content)
    rows = np.random.default_rng(1).normal(size=(70, 24, 24, 3)).astype(np.float32)
    assert np.allclose(engines.load("litert-winograd", file)(rows)[0], model.predict_on_batch(rows), atol=1e-4)


def test_what_a_layer_does_twice_and_what_stays_beside_it(tmp_path: Path) -> None:
    shared = convolution(padding="same")
    model = network(
        (16, 16, 64),
        shared,
        layers.BatchNormalization(),
        layers.ReLU(),
        shared,
        convolution(strides=2),
        convolution(dilation_rate=2),
        layers.DepthwiseConv2D(3),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3, "softmax"),
    )
    file = exported(model, tmp_path)
    content = winograd.rewritten(file.read_bytes())
    assert content is not None
    assert kinds(content).count(compiled.OP.CONV_2D) == 2 * 16 + 2
    kernels = 64 * 64 * 4
    assert len(content) < file.stat().st_size + (16 - 9) * 2 * kernels + 65536  # for two: before and after the norm
    other = tmp_path / "other.tflite"
    other.write_bytes(content)
    rows = np.random.default_rng(2).normal(size=(2, 16, 16, 64)).astype(np.float32)
    assert np.allclose(engines.load("litert", other)(rows)[0], engines.load("litert", file)(rows)[0], atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        convolution(strides=2),
        convolution(dilation_rate=2),
        convolution(8),  # too few filters
        convolution(activation="tanh", groups=2),
        layers.Conv2D(64, 5),
        layers.DepthwiseConv2D(3),
        layers.Conv2DTranspose(64, 3),
    ],
)
def test_other_layers_have_nothing_to_gain(tmp_path: Path, layer: keras.Layer) -> None:
    file = exported(network((16, 16, 64), layer), tmp_path)
    assert winograd.rewritten(file.read_bytes()) is None


def test_sizes_that_vary_and_weights_of_fewer_bits_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "varies").mkdir()
    file = exported(network((None, None, 64), convolution()), tmp_path / "varies")
    assert winograd.rewritten(file.read_bytes()) is None
    model = network((16, 16, 64), convolution())
    model.set_weights([values.astype(np.float16).astype(np.float32) for values in model.get_weights()])
    assert winograd.rewritten(exported(model, tmp_path).read_bytes()) is None


@pytest.mark.parametrize(
    ("sizes", "tile"),
    [
        ((28, 28, 128, 128), 4),
        ((20, 20, 60, 60), 4),
        ((14, 14, 256, 256), 2),
        ((7, 7, 512, 512), None),  # its kernels are read for so few answers
        ((56, 56, 32, 32), None),
        ((56, 56, 3, 64), None),
        ((56, 56, 40, 120), 4),
        ((1, 1000, 64, 64), None),
    ],
)
def test_where_it_gains(sizes: tuple[int, int, int, int], tile: int | None) -> None:
    found = winograd.method(*sizes)
    assert (found and found.size) == tile


def test_constants_are_where_the_schema_wants_them(tmp_path: Path) -> None:
    content = winograd.rewritten(exported(network((28, 28, 64), convolution()), tmp_path).read_bytes())
    assert content is not None
    model = compiled.schema.Model.GetRootAs(content, 0)
    start = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    held = [model.Buffers(number) for number in range(model.BuffersLength())]
    places = [each.DataAsNumpy().__array_interface__["data"][0] - start for each in held if not each.DataIsNone()]
    assert places
    assert not any(place % compiled.ALIGNMENT for place in places)
    original = 9 * 64 * 64 * 4
    sizes = [each.DataLength() for each in held]
    assert original not in sizes  # what nothing reads any more is gone


def test_the_build_tries_it_and_keeps_it_where_it_is_faster(tmp_path: Path) -> None:
    model = network((32, 32, 3), convolution(), *[convolution(128, padding="same") for _ in range(3)], layers.Flatten())
    bundle = build(of_keras(model), Request(tmp_path, "a", "1"), exporters={"litert": EXPORTERS["litert"]})
    candidates = {candidate.engine: candidate for candidate in bundle.candidates}
    found, plain = candidates["litert-winograd"], candidates["litert"]
    assert found.tolerance == plain.tolerance
    assert found.largest is not None
    assert found.largest < 1e-4
    faster = found.milliseconds["1"] <= GAIN_OF_REWRITTEN * plain.milliseconds["1"]
    assert ("litert-winograd" in bundle.engines) is faster
    assert (bundle.folder / "model.winograd.tflite").exists() is faster
    if faster:
        bundle.prove(engines.load("litert-winograd", bundle.folder / "model.winograd.tflite"), "litert-winograd")
    else:
        assert found.reason in ("slower than litert", "hardly faster than litert")


def test_one_that_differs_is_thrown_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "from model.build import winograd as w; w.SMALL.kernel[0] *= 1.5; w.LARGE.kernel[0] *= 1.5; w.main()"
    exporter = Exporter(("-c", wrong), "model.winograd.tflite", of="litert")
    monkeypatch.setattr("model.build.assemble.FASTER", {"litert-winograd": exporter})
    model = network((24, 24, 64), convolution(), layers.Flatten())
    bundle = build(of_keras(model), Request(tmp_path, "a", "1"), exporters={"litert": EXPORTERS["litert"]})
    (found,) = [candidate for candidate in bundle.candidates if candidate.engine == "litert-winograd"]
    assert (found.outcome, found.reason) == ("thrown out", "differs")
    assert set(bundle.engines) == {"keras", "litert"}
    assert not (bundle.folder / "model.winograd.tflite").exists()


def test_who_asks_for_it_gets_to_know_why_not(tmp_path: Path) -> None:
    request = Request(tmp_path, "a", "1", engine="litert-winograd")
    source = of_keras(network((4,), layers.Dense(3)))
    with pytest.raises(BuildError, match=r"litert-winograd \(the model has nothing that it would make faster\) cannot"):
        build(source, request, exporters={"litert": EXPORTERS["litert"]})


def test_a_layer_of_two_inputs_keeps_its_kernels_once(tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    tower = convolution(padding="same", use_bias=False)
    entered = [keras.Input((16, 16, 64)) for _ in range(2)]
    file = exported(keras.Model(entered, layers.Add()([tower(each) for each in entered])), tmp_path)
    content = winograd.rewritten(file.read_bytes())
    assert content is not None
    assert kinds(content).count(compiled.OP.CONV_2D) == 2 * 16
    assert len(content) < 1.2 * 16 * 64 * 64 * 4


def test_without_convolutions_there_is_no_such_candidate(tmp_path: Path) -> None:
    exporter = Exporter(("-m", "model.build.winograd"), "model.winograd.tflite", of="litert")
    exported(network((4,), layers.Dense(3)), tmp_path)
    with pytest.raises(NothingToGain):
        export(exporter, tmp_path / "graph", tmp_path / "none.npz", tmp_path)
    broken = tmp_path / "model.tflite"
    broken.write_bytes(b"no model")
    command = [sys.executable, "-m", "model.build.winograd", str(broken), str(tmp_path / "b.tflite")]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode
    assert not (tmp_path / "b.tflite").exists()
