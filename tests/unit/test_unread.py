"""Pixels that nothing reads: not made, and the answers are the same numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import engines

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
import keras  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402
from keras import layers  # noqa: E402

from model.build import compiled, export_litert, graphs, unread  # noqa: E402
from model.build.source import of_keras  # noqa: E402

pytestmark = [pytest.mark.unit, pytest.mark.slow, pytest.mark.timeout(600)]

Layers = Callable[[Any], Any]


def convolution(filters: int, size: int, strides: int = 1, **options: Any) -> keras.Layer:
    bias = keras.initializers.RandomNormal(seed=7)
    return layers.Conv2D(filters, size, strides, bias_initializer=bias, **options)


def exported(shape: tuple[int, ...], made: Layers, folder: Path) -> tuple[keras.Model, bytes, bytes]:
    """(the model, its file as converted, its file without what is unread)."""
    keras.utils.set_random_seed(5)
    entered = keras.Input(shape)
    made_here = made(entered)
    model = keras.Model(entered, list(made_here) if isinstance(made_here, tuple) else made_here)
    of_keras(model).save_graph(folder / "graph")
    loaded, function = graphs.load(folder / "graph", batch=1)
    return (
        model,
        tf.lite.TFLiteConverter.from_concrete_functions([function], loaded).convert(),
        export_litert.convert(folder / "graph", None),
    )


def engine_of(content: bytes, folder: Path) -> engines.Engine:
    file = folder / "model.tflite"
    file.write_bytes(content)
    return engines.load("litert", file)


def check(model: keras.Model, plain: bytes, content: bytes, folder: Path) -> None:
    """It answers as the file did, number for number, and as Keras does; at one row and at many."""
    before, engine = engine_of(plain, folder), engine_of(content, folder)
    for count in (1, 70):
        rows = np.random.default_rng(count).normal(size=(count, *model.input_shape[1:])).astype(np.float32)
        wanted = model.predict_on_batch(rows)
        wanted = wanted if isinstance(wanted, list) else [wanted]
        for found, same, each in zip(engine(rows), before(rows), wanted, strict=True):
            np.testing.assert_array_equal(found, same)
            assert found.shape == each.shape
            assert np.abs(found - each).max() <= 2e-6 * np.abs(each).max()


def answers(content: bytes) -> list[int]:
    """How many numbers each operator makes, the largest first; but for those that only move them."""
    file, moves = compiled.Compiled(content), (compiled.OP.PAD, compiled.OP.RESHAPE)
    made = [each.outputs[0] for each in file.operators if file.kind(each) not in moves]
    return sorted((math.prod(file.shape(tensor)) for tensor in made), reverse=True)


def delegated(content: bytes) -> int:
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return [each["op_name"] for each in interpreter._get_ops_details()].count("DELEGATE")


def stage(entered: Any) -> Any:
    """The end of one stage of a ResNet and the beginning of the next."""
    left = convolution(8, 1, activation="relu")(entered)
    left = convolution(8, 3, padding="same", activation="relu")(left)
    left = layers.ReLU()(layers.Add()([entered, convolution(entered.shape[-1], 1)(left)]))
    return layers.Add()([convolution(24, 1, 2)(left), convolution(24, 1, 2, activation="relu")(left)])


@pytest.mark.parametrize("shape", [(12, 12, 16), (13, 15, 16), (12, 15, 16), (14, 1, 16)])
def test_the_stride_moves_up_to_the_convolution_before_the_sum(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    model, plain, content = exported(shape, stage, tmp_path)
    whole, quarter = math.prod(shape), math.ceil(shape[0] / 2) * math.ceil(shape[1] / 2) * shape[2]
    assert answers(plain).count(whole) >= 2
    assert whole not in answers(content)
    assert answers(content).count(quarter) >= 3  # what is left of the shortcut, the convolution and the sum
    assert delegated(content) == 1
    check(model, plain, content, tmp_path)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [1, 2, 3])
def test_convolutions_of_any_kind_take_the_stride(tmp_path: Path, size: int, padding: str, strides: int) -> None:
    def made(entered: Any) -> Any:
        depthwise = layers.DepthwiseConv2D(size, strides, padding, bias_initializer="random_normal")
        one = convolution(6, 1, 2)(convolution(5, size, strides, padding=padding, activation="relu")(entered))
        return one, convolution(6, 1, 3)(layers.LeakyReLU()(depthwise(entered)))

    model, plain, content = exported((29, 22, 4), made, tmp_path)
    assert sum(answers(content)) < sum(answers(plain))
    assert delegated(content) == 1
    check(model, plain, content, tmp_path)


def test_what_somebody_else_reads_is_made(tmp_path: Path) -> None:
    def made(entered: Any) -> Any:
        left = convolution(8, 3)(entered)
        wide = convolution(8, 3)(entered)
        return (
            left,
            convolution(4, 1, 2)(left),
            convolution(4, 1, 2)(wide),
            convolution(4, 1, (3, 3))(wide),
            convolution(4, 3, 2)(convolution(8, 3)(entered)),
            convolution(4, 1, 2)(layers.MaxPooling2D(2)(convolution(8, 3)(entered))),
            convolution(4, 1, 2)(convolution(8, 3, dilation_rate=2)(entered)),
        )

    model, plain, content = exported((20, 20, 3), made, tmp_path)
    assert content == plain
    check(model, plain, content, tmp_path)


def test_numbers_for_each_channel_and_shortcuts_read_twice(tmp_path: Path) -> None:
    def made(entered: Any) -> Any:
        shortcut = convolution(16, 3, padding="same")(entered)
        left = layers.Multiply()([shortcut, convolution(16, 3, padding="same")(entered)])
        left = layers.Activation("sigmoid")(layers.Rescaling(0.5, 0.25)(left) + shortcut)
        return convolution(4, 1, 2)(left), shortcut

    model, plain, content = exported((16, 16, 3), made, tmp_path)
    kinds = [compiled.Compiled(content).kind(each) for each in compiled.Compiled(content).operators]
    assert kinds.count(compiled.OP.STRIDED_SLICE) == 1  # the shortcut's quarter, once for two readers
    assert sum(answers(content)) < sum(answers(plain))
    check(model, plain, content, tmp_path)


@pytest.mark.filterwarnings("ignore:\\s*Warning. tf.lite.Interpreter is deprecated:UserWarning")  # the converter's own
def test_sizes_that_vary_and_numbers_of_fewer_bits_are_left_alone(tmp_path: Path) -> None:
    _, plain, content = exported((None, None, 16), stage, tmp_path)
    assert content == plain
    samples = tmp_path / "samples.npz"
    np.savez(samples, input_0=np.random.default_rng(0).normal(size=(8, 12, 12, 16)).astype(np.float32))
    (tmp_path / "int8").mkdir()
    model, _, _ = exported((12, 12, 16), stage, tmp_path / "int8")
    whole = export_litert.convert(tmp_path / "int8" / "graph", samples, int8=True)
    assert unread.rewritten(whole) == whole
    rows = np.random.default_rng(1).normal(size=(2, 12, 12, 16)).astype(np.float32)
    wanted = model.predict_on_batch(rows)
    assert np.abs(engine_of(whole, tmp_path)(rows)[0] - wanted).max() < 0.1 * np.abs(wanted).max()


def test_weights_stored_in_16_bits_take_the_stride(tmp_path: Path) -> None:
    exported((12, 12, 16), stage, tmp_path)
    content = export_litert.convert(tmp_path / "graph", None, float16=True)
    assert 12 * 12 * 16 not in answers(content)
    assert delegated(content) == 1


def test_what_would_have_to_be_cut_alone_is_left_as_it_is(tmp_path: Path) -> None:
    def made(entered: Any) -> Any:
        pooled = layers.MaxPooling2D(3, 1, "same")(entered)
        return convolution(3, 1, 2)(layers.Activation("sigmoid")(entered)), convolution(4, 1, 2)(
            layers.ReLU()(layers.Add()([pooled, entered]))
        )

    model, plain, content = exported((28, 28, 4), made, tmp_path)
    assert content == plain
    check(model, plain, content, tmp_path)


@pytest.mark.parametrize("shape", [(1, 40, 16), (40, 1, 16), (1, 1, 16)])
def test_steps_over_a_single_row_leave_nothing_out(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    strides = (2 if shape[0] == 1 else 1, 2 if shape[1] == 1 else 1)

    def made(entered: Any) -> Any:
        left = layers.Add()([entered, convolution(16, 3, padding="same")(entered)])
        return layers.Conv2D(4, 1, strides)(layers.ReLU()(left))

    model, plain, content = exported(shape, made, tmp_path)
    assert content == plain
    check(model, plain, content, tmp_path)


def test_numbers_beside_an_infinity_stay_what_they_are(tmp_path: Path) -> None:
    def made(entered: Any) -> Any:
        left = layers.Add()([entered, convolution(16, 3, padding="same")(entered)])
        return convolution(4, 1, 2)(layers.Activation("sigmoid")(left))

    _, plain, content = exported((9, 12, 16), made, tmp_path)
    assert content != plain
    rows = np.random.default_rng(3).normal(size=(1, 9, 12, 16)).astype(np.float32)
    rows[0, ::3, ::3] = np.inf
    rows[0, 4, 4, :3] = np.nan
    (found,), (wanted,) = engine_of(content, tmp_path)(rows), engine_of(plain, tmp_path)(rows)
    assert np.isfinite(wanted).any()
    np.testing.assert_array_equal(found, wanted)


def test_operators_that_make_nothing_stay(tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    picture, word = keras.Input((12, 12, 16)), keras.Input((1,), dtype="string")
    found = layers.StringLookup(vocabulary=["a", "b", "c"], output_mode="one_hot")(word)
    both = layers.Concatenate()([layers.GlobalAveragePooling2D()(stage(picture)), found])
    model = keras.Model([picture, word], layers.Dense(3)(both))
    of_keras(model).save_graph(tmp_path / "graph")
    loaded, function = graphs.load(tmp_path / "graph", batch=1)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], loaded)
    content = unread.rewritten(plain := converter.convert())
    assert [] in [list(each.outputs) for each in compiled.Compiled(plain).operators]
    assert content != plain
    rows = [np.ones((1, 12, 12, 16), np.float32), np.array([["b"]], object)]
    wanted = engine_of(plain, tmp_path)(*rows)
    np.testing.assert_array_equal(engine_of(content, tmp_path)(*rows)[0], wanted[0])


@pytest.mark.parametrize("seed", range(6))
def test_graphs_at_random(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)

    def made(entered: Any) -> Any:
        tensors = [entered]
        for _ in range(14):
            left = tensors[random.integers(len(tensors) // 2, len(tensors))]
            kind = random.integers(5)
            if kind == 0:
                alike = [each for each in tensors if each.shape == left.shape]
                left = layers.Add()([left, alike[random.integers(len(alike))]])
            elif kind == 1:
                left = layers.Activation(["relu", "tanh", "sigmoid"][random.integers(3)])(left)
            else:
                size, strides = int(random.choice([1, 1, 2, 3])), int(random.choice([1, 1, 2]))
                left = convolution(6, size, strides, padding="same")(left)
            tensors.append(left)
        return tensors[-1], tensors[-3]

    model, plain, content = exported((19, 24, 6), made, tmp_path)
    check(model, plain, content, tmp_path)
    assert unread.rewritten(content) == content or delegated(content) == 1
