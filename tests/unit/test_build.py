"""The whole build: candidates in processes of their own, proof, choice, and a store that holds whole bundles alone."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model import bundle as bundles
from model import engines

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
import keras  # noqa: E402

from model.build import assemble, child, golden, loaders, proof, reference, report  # noqa: E402
from model.build.assemble import Request, build  # noqa: E402
from model.build.child import ChildFailed  # noqa: E402
from model.build.errors import BuildError, reason  # noqa: E402
from model.build.exporting import EXPORTERS, Exporter, export  # noqa: E402
from model.build.scores import usual  # noqa: E402
from model.build.source import Source, of_keras  # noqa: E402
from model.build.workplace import work_folder  # noqa: E402
from model.bundle import Bundle, Tensor  # noqa: E402
from model.preprocess import Preprocessing  # noqa: E402
from tests import bundles as made_bundles  # noqa: E402

pytestmark = [
    pytest.mark.unit,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

ROOT = Path(__file__).parents[2]


def dense(seed: int = 1) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])


def convolutional() -> keras.Model:
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((24, 32, 3)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(2, "softmax"),
        ]
    )


def two_by_two() -> keras.Model:
    keras.utils.set_random_seed(3)
    left, right = keras.Input((8,), name="left"), keras.Input((4, 4, 3), name="right")
    joined = keras.layers.Concatenate()(
        [keras.layers.Dense(4)(left), keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(right))]
    )
    outputs = {"total": keras.layers.Dense(3)(joined), "chance": keras.layers.Dense(2, activation="softmax")(joined)}
    return keras.Model({"left": left, "right": right}, outputs)


def lively(model: keras.Model) -> keras.Model:
    """Fresh weights leave a deep network with the same answer to everything; these do not."""
    rng = np.random.default_rng(4)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, *others = layer.get_weights()
            layer.set_weights([gamma * rng.uniform(2.0, 3.0, gamma.shape), *others])
    return model


def engine_of(bundle: Bundle, name: str) -> engines.Engine:
    return engines.load(name, bundle.check_file(bundle.engine_file(name)))


def outcome(bundle: Bundle, engine: str) -> bundles.Candidate:
    (found,) = [entry for entry in bundle.candidates if entry.engine == engine]
    return found


def assert_answers_as(bundle: Bundle, source: Source, counts: tuple[int, ...] = (1, 3, 150)) -> None:
    """Every engine in the bundle, for any number of instances."""
    rng = np.random.default_rng(9)
    for name in bundle.engines:
        engine = engine_of(bundle, name)
        for count in counts:
            inputs = [rng.uniform(-1, 1, (count, *entry.shape[1:])).astype(entry.dtype) for entry in source.inputs]
            for answer, wanted in zip(engine(*inputs), source(*inputs), strict=True):
                assert answer.shape == wanted.shape
                assert np.allclose(answer, wanted, atol=1e-4), (name, count)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A whole build of the dense model."""
    store = tmp_path_factory.mktemp("rows")
    return build(of_keras(dense()), Request(store, "rows", "1", labels=("a", "b", "c")))


def test_a_dense_model(rows: Bundle) -> None:
    source = of_keras(dense())
    assert set(rows.engines) == {"keras", "litert", "onnx"}
    assert outcome(rows, rows.default_engine).outcome == "chosen"
    fastest = min(rows.candidates, key=lambda entry: entry.milliseconds["1"])
    assert rows.default_engine == fastest.engine
    for entry in rows.candidates:
        assert entry.largest <= rows.tolerance
        assert entry.agreement == 1.0
        assert set(entry.milliseconds) == {"1", "4", "16"}
        assert entry.size == rows.engines[entry.engine].size
    assert rows.built["parameters"] == 6 * 8 + 8 + 8 * 3 + 3
    assert rows.built["multiply_adds"] == 6 * 8 + 8 * 3
    assert_answers_as(rows, source)
    for name in rows.engines:
        rows.prove(engine_of(rows, name), name)
    store = rows.folder.parents[1]
    assert [path.name for path in store.rglob(".*")] == []
    with pytest.raises(BuildError, match="exists"):
        build(source, Request(store, "rows", "1"))
    assert assemble.newest_version(store, "rows") == 1


def test_several_named_inputs_and_outputs(tmp_path: Path) -> None:
    source = of_keras(two_by_two())
    bundle = build(source, Request(tmp_path, "two", "7"))
    assert [entry.name for entry in bundle.inputs] == ["left", "right"]
    assert [entry.name for entry in bundle.outputs] == ["chance", "total"]
    assert set(bundle.engines) == {"keras", "litert", "onnx"}
    assert_answers_as(bundle, source)


def test_a_fixed_batch_takes_any_number_all_the_same(tmp_path: Path) -> None:
    rows = keras.Input(batch_shape=(4, 6))
    source = of_keras(keras.Model(rows, keras.layers.Dense(3)(rows)))
    bundle = build(source, Request(tmp_path, "fixed", "1"))
    assert set(bundle.engines) == {"keras", "litert", "onnx"}
    rng = np.random.default_rng(0)
    given = rng.normal(size=(9, 6)).astype(np.float32)
    kernel, bias = source.model.get_weights()
    for name in bundle.engines:
        assert np.allclose(engine_of(bundle, name)(given)[0], given @ kernel + bias, atol=1e-5)


def test_sequences_of_any_length(tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    words = keras.Input((None,), dtype="int32")
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(50, 4)(words))
    source = of_keras(keras.Model(words, keras.layers.Dense(2)(pooled)))
    bundle = build(source, Request(tmp_path, "words", "1"))
    assert set(bundle.engines) == {"keras", "litert", "onnx"}
    given = np.arange(40, dtype=np.int32).reshape(2, 20)
    for name in bundle.engines:
        assert np.allclose(engine_of(bundle, name)(given)[0], source(given)[0], atol=1e-5)


def test_photos_are_proven_too_and_fewer_bits_only_when_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    for number in range(12):
        picture = Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8))
        picture.save(tmp_path / "photos" / "cat" / f"{number}.png")
    (tmp_path / "photos" / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    source, how = of_keras(convolutional()), Preprocessing(24, 32, range="0..1")
    request = Request(
        tmp_path / "store", "pets", "1", ("cat", "dog"), how, tmp_path / "photos", quantize=("int8", "float16")
    )
    bundle = build(source, request, exporters={"litert": EXPORTERS["litert"]})
    assert set(bundle.engines) == {"keras", "litert", "litert-int8", "litert-float16"}
    assert bundle.built["photos"] == {"used": 12, "unreadable": 1}
    assert "-" not in bundle.default_engine
    small, exact = outcome(bundle, "litert-int8"), outcome(bundle, "litert")
    assert small.size < exact.size
    assert small.largest > exact.largest
    assert "only when asked for" in small.reason
    assert small.tolerance >= small.largest
    for name in bundle.engines:
        bundle.prove(engine_of(bundle, name), name)
    assert bundles.read(bundle.folder) == bundle


def test_the_engine_asked_for_is_chosen_or_the_build_fails(tmp_path: Path, rows: Bundle) -> None:
    source, exporters = of_keras(dense()), {"onnx": copy_of(rows, "onnx")}
    bundle = build(source, Request(tmp_path, "a", "1", engine="keras"), exporters=exporters)
    assert bundle.default_engine == "keras"
    assert outcome(bundle, "onnx").reason == "keras was asked for"
    with pytest.raises(BuildError, match=r"Engine litert cannot be had. These can: keras"):
        build(source, Request(tmp_path, "b", "1", engine="litert"), exporters={})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


@pytest.mark.parametrize(
    ("times", "chosen", "why"),
    [
        ({"keras": 95, "litert": 100}, "litert", "needs TensorFlow"),
        ({"keras": 80, "litert": 100}, "keras", ""),
        ({"keras": 120, "litert": 100, "onnx": 90}, "onnx", "slower"),
        ({"keras": 5}, "keras", ""),
    ],
)
def test_keras_is_chosen_for_a_clear_lead_alone(times: dict[str, float], chosen: str, why: str) -> None:
    candidates = [bundles.Candidate(engine, "kept", milliseconds={"1": each}) for engine, each in times.items()]
    assert assemble._choose(candidates, "") == chosen
    told = assemble._told(candidates[0], chosen, candidates)
    assert told.outcome == ("chosen" if chosen == "keras" else "kept")
    assert why in told.reason


def test_weights_that_are_float16_numbers_take_half_the_size(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(512), keras.layers.Dense(4)])
    model.set_weights([values.astype(np.float16).astype(np.float32) for values in model.get_weights()])
    of_keras(model).save_graph(tmp_path / "graph")
    file = export(EXPORTERS["litert"], tmp_path / "graph", tmp_path / "none.npz", tmp_path)
    assert file.stat().st_size < 0.6 * 4 * model.count_params()
    given = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    assert np.allclose(engines.load("litert", file)(given)[0], model(given), atol=1e-4)


@pytest.mark.parametrize("exported", [False, True])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_bfloat16_goes_in_and_out_as_float32(tmp_path: Path, policy: str, exported: bool) -> None:
    keras.utils.set_random_seed(1)
    dtype = "float32" if policy == "mixed_bfloat16" else policy
    words = keras.Input((6,), dtype=dtype)
    hidden = keras.layers.Dense(8, "relu", dtype=policy)(words)
    model = keras.Model(words, keras.layers.Dense(3, "softmax", dtype=policy)(hidden))
    if exported:
        model.export(tmp_path / "exported", verbose=False)
        source = loaders.load(str(tmp_path / "exported"), None, allow_unsafe=False)
    else:
        source = of_keras(model)
    bundle = build(source, Request(tmp_path, "m", "1", labels=("a", "b", "c")), exporters={})
    assert [tensor.dtype for tensor in (*bundle.inputs, *bundle.outputs)] == ["float32", "float32"]
    engine, row = engine_of(bundle, "keras"), np.linspace(-1, 1, 6, dtype=np.float32).reshape(1, 6)
    (answer,) = engine(row)
    assert answer.dtype == np.float32
    assert np.array_equal(answer, np.asarray(tf.cast(model(row), tf.float32)))
    assert bundle.prove(engine) == 0


def test_text_is_taken(tmp_path: Path) -> None:
    keras.utils.set_random_seed(8)
    words = keras.layers.TextVectorization(vocabulary=["good", "bad", "film"], output_sequence_length=4)
    layers = [keras.layers.Embedding(5, 4), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((1,), dtype="string"), words, *layers])
    bundle = build(of_keras(model), Request(tmp_path, "text", "1"), exporters={})
    assert bundle.inputs[0].dtype == "string"
    bundle.prove(engine_of(bundle, "keras"), "keras")
    given = np.array([["a good film"], ["schön"]], object)
    assert np.allclose(engine_of(bundle, "keras")(given)[0], model(tf.constant(given)), atol=1e-6)


def scores_of_attention(values: Any) -> Any:
    return keras.layers.MultiHeadAttention(2, 3)(values, values, return_attention_scores=True)[1]


@pytest.mark.parametrize(
    ("layer", "given", "dtype", "shape"),
    [
        (keras.layers.Activation("glu"), ((8,), "float32"), "float32", (None, 4)),
        (keras.layers.IntegerLookup(vocabulary=[3], output_mode="multi_hot"), ((1,), "int64"), "int64", (None, 2)),
        (keras.layers.TextVectorization(vocabulary=["a"], output_mode="count"), ((), "string"), "int64", (None, 2)),
        (keras.layers.StringLookup(vocabulary=["a", "b"], invert=True), ((3,), "int64"), "string", (None, 3)),
        (scores_of_attention, ((6, 5, 4), "float32"), "float32", (None, 2, 6, 5, 6, 5)),
        (keras.layers.LSTM(2, return_sequences=True), ((None, 4), "float32"), "float32", (None, None, 2)),
    ],
)
def test_outputs_are_declared_as_they_are_answered(
    layer: Callable[[Any], Any], given: tuple[tuple[int | None, ...], str], dtype: str, shape: tuple[int | None, ...]
) -> None:
    inputs = keras.Input(given[0], dtype=given[1])
    source = of_keras(keras.Model(inputs, layer(inputs)))
    (found,) = reference.outputs(source, reference.ask(source, None, None, None).answers)
    assert (found.dtype, found.shape) == (dtype, shape)


def test_text_that_is_answered_is_text(tmp_path: Path) -> None:
    rows = keras.Input((4,))
    best = keras.ops.argmax(keras.layers.Dense(3)(rows), -1)
    words = keras.layers.StringLookup(vocabulary=["cat", "dog", "emu"], invert=True, num_oov_indices=0, name="word")
    bundle = build(of_keras(keras.Model(rows, words(best))), Request(tmp_path, "m", "1"), exporters={})
    assert bundle.outputs == (Tensor("word", "string", (None,)),)


def test_labels_are_those_of_what_is_answered(tmp_path: Path) -> None:
    rows = keras.Input((4,))
    source = of_keras(keras.Model(rows, keras.layers.Activation("glu")(rows)))
    assert build(source, Request(tmp_path, "m", "1", labels=("a", "b")), exporters={}).labels == ("a", "b")


def test_the_standard_text_classifier(tmp_path: Path) -> None:
    """A text without words has the mean of nothing, 0 / 0."""
    keras.utils.set_random_seed(12)
    words = keras.layers.TextVectorization(vocabulary=["good", "bad", "film"], output_sequence_length=8)
    layers = [keras.layers.Embedding(5, 4, mask_zero=True), keras.layers.GlobalAveragePooling1D()]
    model = keras.Sequential([keras.Input((1,), dtype="string"), words, *layers, keras.layers.Dense(1)])
    bundle = build(of_keras(model), Request(tmp_path, "text", "1"), exporters={})
    texts, answers = (arrays[0] for arrays in bundle.golden_tensors())
    assert len(texts) > 60
    assert "" not in texts
    assert np.isfinite(answers).all()
    dropped = bundle.built["not_finite"]
    assert dropped > 0
    assert f"Inputs left out, as Keras answers NaN or infinity to them: {dropped}." in report.reasons(bundle)


def test_a_text_without_words_may_be_too_little_for_a_recurrent_layer(tmp_path: Path) -> None:
    text = keras.Input((), dtype="string")
    words = keras.layers.TextVectorization(vocabulary=["good", "bad", "film"])(text)
    hidden = keras.layers.Bidirectional(keras.layers.LSTM(4))(keras.layers.Embedding(5, 4, mask_zero=True)(words))
    source = of_keras(keras.Model(text, keras.layers.Dense(1)(hidden)))
    bundle = build(source, Request(tmp_path, "m", "1"), exporters={})
    (texts,), _ = bundle.golden_tensors()
    assert set(texts) == set(golden.TEXTS) - {""}


@pytest.mark.parametrize("name", ["sqrt", "log", "arccos"])
def test_rows_outside_a_functions_range_are_drawn_anew(name: str) -> None:
    rows = keras.Input((9,))
    found = reference.ask(of_keras(keras.Model(rows, getattr(keras.ops, name)(rows))), None, None, None)
    assert len(found.inputs[0]) == found.golden == 72
    assert np.isfinite(found.answers[0]).all()
    assert found.told == ({} if name == "arccos" else {"not_finite": 72})


@pytest.mark.parametrize(("smallest", "size"), [(16, 16), (25, 32), (200, 256)])
def test_an_axis_of_any_size_is_as_long_as_the_model_needs(smallest: int, size: int) -> None:
    series = keras.Input((None, 2))
    values = keras.layers.Conv1D(3, smallest)(series)
    source = of_keras(keras.Model(series, keras.layers.GlobalMaxPooling1D()(values)))
    assert reference.ask(source, None, None, None).inputs[0].shape[1:] == (size, 2)


def test_what_needs_more_is_refused_with_what_was_tried() -> None:
    series = keras.Input((None, 2))
    source = of_keras(keras.Model(series, keras.layers.Conv1D(3, 300)(series)))
    with pytest.raises(BuildError, match=r"cannot be run .* 16, 32, 64, 128, 256 were tried: .*--inputs"):
        reference.ask(source, None, None, None)


def test_what_an_embedding_takes_are_whole_numbers() -> None:
    words, more, other = keras.Input((6,)), keras.Input((4,), dtype="int32"), keras.Input((2,))
    inner = keras.Sequential([keras.Input((6,)), keras.layers.Embedding(9, 3), keras.layers.Flatten()])
    values = [inner(words), keras.layers.Flatten()(keras.layers.Embedding(40, 3)(more)), other]
    source = of_keras(keras.Model([words, more, other], keras.layers.Concatenate()(values)), graph_only=True)
    assert source.vocabularies == (9, 40, None)
    first, second, third = reference.ask(source, None, None, None).inputs
    assert (first.dtype, set(np.unique(first))) == (np.float32, set(range(9)))
    assert 30 < second.max() < 40
    assert third.min() < 0 < third.max()


def test_numbers_that_keras_refuses_are_refused_by_every_engine(tmp_path: Path) -> None:
    """-1 to -100 count from the end of a table of 100 words. All below, and all from 100 on, are none of its words."""
    words = keras.Input((3,), dtype="int32")
    keras.utils.set_random_seed(5)
    joined = keras.layers.Flatten()(keras.layers.Embedding(100, 4)(words))
    source = of_keras(keras.Model(words, keras.layers.Dense(2)(joined)))
    source.save_graph(tmp_path / "graph")
    files = {name: export(exporter, tmp_path / "graph", tmp_path, tmp_path) for name, exporter in EXPORTERS.items()}
    for name, file in files.items():
        engine = engines.load(name, file)
        for good in (0, 99, -1, -100):
            row = np.array([[7, good, 0]], np.int32)
            assert np.allclose(engine(row)[0], source(row)[0], atol=1e-5), (name, good)
        for bad in (100, 2**31 - 1, -101, -200, -201, -(2**31)):
            row = np.array([[7, bad, 0]], np.int32)
            with pytest.raises(tf.errors.InvalidArgumentError, match="is not in"):
                source(row)
            with pytest.raises(Exception, match=r"out of (data )?bounds"):
                engine(row)


def test_rows_of_the_users_own_are_asked(tmp_path: Path) -> None:
    prices = keras.Input((3,), name="prices")
    source = of_keras(keras.Model(prices, keras.ops.log(prices - 1000)))
    with pytest.raises(BuildError, match=r"NaN or infinity to every input.*--inputs"):
        reference.ask(source, None, None, None)
    own = np.random.default_rng(0).uniform(900, 3000, (100, 3)).astype(np.float32)
    bundle = build(source, Request(tmp_path, "prices", "1", ("cat", "dog", "cow"), inputs=[own]), exporters={})
    kept = bundle.golden_tensors()[0][0]
    good = (own > 1000).all(1)
    assert np.array_equal(kept, own[:72][good[:72]])
    assert bundle.built["not_finite"] == (~good).sum()


class TakesFiles(tf.Module):
    """As models are exported for TensorFlow Serving: pictures come as files, and are decoded in the graph."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(self, files: tf.Tensor) -> dict[str, tf.Tensor]:
        def mean(file: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(tf.cast(tf.io.decode_image(file, 3), tf.float32), (0, 1))

        return {"means": tf.map_fn(mean, files, fn_output_signature=tf.TensorSpec([3]))}


def test_files_of_pictures_are_taken_as_bytes(tmp_path: Path) -> None:
    module = TakesFiles()
    tf.saved_model.save(module, str(tmp_path / "exported"), signatures=module.serve)
    source = loaders.load(str(tmp_path / "exported"), None, allow_unsafe=False)
    with pytest.raises(BuildError, match=r"on random text: Unknown image file format\. One of .*--inputs FILE\.npz"):
        build(source, Request(tmp_path / "store", "m", "1"), exporters={})
    rng, files = np.random.default_rng(6), []
    for number in range(10):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (9, 9 + number, 3), np.uint8)).save(file, "JPEG")
        files.append(file.getvalue())
    np.savez(tmp_path / "rows.npz", image_bytes=np.array(files))
    rows = golden.own_inputs(tmp_path / "rows.npz", source.inputs)
    bundle = build(source, Request(tmp_path / "store", "m", "1", inputs=rows), exporters={})
    (kept,), (answers,) = bundle.golden_tensors()
    assert kept.tolist() == files
    assert np.allclose(answers, source(np.array(files, object))[0])
    assert bundle.prove(engine_of(bundle, "keras")) < 1e-6
    command = report.curl(bundle)
    encoded = r"""$(base64 < FILE | tr -d '\n')"""  # GNU's and BSD's have no option in common that leaves lines out
    assert command.startswith(f"""printf '{{"instances": [{{"b64": "%s"}}]}}' "{encoded}" | curl """)
    assert command.endswith("/v1/models/m:predict")


@pytest.mark.parametrize(("last", "scores"), [("sigmoid", "as_is"), (None, "sigmoid")])
def test_two_labels_of_one_score_are_counted(tmp_path: Path, last: str | None, scores: str) -> None:
    keras.utils.set_random_seed(13)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1, last)])
    bundle = build(of_keras(model), Request(tmp_path, "m", "1", ("cat", "dog")), exporters={})
    assert bundle.scores == scores
    assert outcome(bundle, "keras").agreement == 1.0


@pytest.mark.parametrize(
    ("units", "last", "scores", "told"),
    [
        (2, None, "", "not to 1"),  # logits that happen to be from 0 to 1
        (2, None, "as_is", "not to 1"),
        (2, "exponential", "as_is", "not from 0 to 1"),
        (1, "exponential", "as_is", "not from 0 to 1"),
        (2, None, "softmax", ""),
        (2, "softmax", "", ""),
        (1, "sigmoid", "", ""),
    ],
)
def test_scores_that_are_no_probabilities_are_told(
    tmp_path: Path, units: int, last: str | None, scores: str, told: str
) -> None:
    small, half = keras.initializers.RandomUniform(-0.01, 0.01, seed=13), keras.initializers.Constant(0.25)
    layer = keras.layers.Dense(units, last, kernel_initializer=small, bias_initializer=half)
    rows = keras.Input((6,))
    model = keras.Model(rows, layer(rows))
    made = made_bundles.make(
        tmp_path, "m", "1", model, labels=("cat", "dog"), built={"parameters": 1, "multiply_adds": 1}
    )
    bundle = made._replace(scores=scores or usual(made.golden_tensors()[1][0]))
    found = report.doubts(bundle)
    assert len(found) == bool(told)
    assert told in "".join(found)
    assert not told or f"--scores {'softmax' if units == 2 else 'sigmoid'}" in found[0]
    assert report.as_json(bundle)["warnings"] == found


def test_without_labels_values_are_answered_as_they_are(tmp_path: Path) -> None:
    keras.utils.set_random_seed(13)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    bundle = build(of_keras(model), Request(tmp_path, "m", "1"), exporters={})
    assert bundle.scores == "as_is"
    (bundle.folder / bundle.golden.name).unlink()
    assert report.doubts(bundle) == [], "without labels there is nothing to read"


def test_a_base_of_keras_applications_is_known_by_its_name() -> None:
    base = keras.applications.MobileNetV2(input_shape=(32, 32, 3), alpha=0.35, weights=None, include_top=False)
    model = keras.Sequential([keras.Input((32, 32, 3)), base, keras.layers.GlobalAveragePooling2D()])
    assert of_keras(model).based_on == "mobilenetv2_0.35_32"
    assert of_keras(dense()).based_on == ""


def test_a_model_that_keeps_a_state_is_refused() -> None:
    layers = [keras.Input(batch_shape=(1, 6, 3)), keras.layers.LSTM(4, stateful=True, name="memory")]
    with pytest.raises(BuildError, match=r"stateful=True\): memory\. .*stateful=False"):
        of_keras(keras.Sequential(layers))


@pytest.mark.parametrize("batch", [None, 4])
def test_a_model_that_mixes_rows_is_refused_with_the_reason(tmp_path: Path, batch: int | None) -> None:
    rows = keras.Input(batch_shape=(batch, 10))
    values = keras.layers.Dense(3)(rows)
    source = of_keras(keras.Model(rows, values - keras.ops.mean(values, 0, keepdims=True)))
    with pytest.raises(BuildError, match=r"answer to a row depends on the others of its batch"):
        build(source, Request(tmp_path, "m", "1"), exporters={})


def augmenting() -> keras.Model:
    """As tutorials have it: augmentation as a model of its own, and what else does something in training alone."""
    keras.utils.set_random_seed(10)
    pictures = keras.Input((16, 16, 3))
    augment = keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomRotation(0.4)])
    values = keras.layers.GaussianNoise(1.0)(keras.layers.RandomZoom(0.5)(augment(pictures)))
    values = keras.layers.BatchNormalization()(keras.layers.RandomContrast(0.9)(values))
    values = keras.layers.Dropout(0.5)(keras.layers.Flatten()(values))
    return keras.Model(pictures, keras.layers.Dense(2, activation="softmax")(values))


def test_what_is_random_in_training_is_off(tmp_path: Path) -> None:
    model = augmenting()
    bundle = build(of_keras(model), Request(tmp_path, "augmenting", "1"))
    assert set(bundle.engines) == {"keras", "litert", "onnx"}
    given = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype(np.float32)
    wanted = model.predict(given, verbose=0)
    for name in bundle.engines:
        engine = engine_of(bundle, name)
        for _ in range(2):
            assert np.allclose(engine(given)[0], wanted, atol=1e-5), name


def test_names_that_tensorflow_does_not_take(tmp_path: Path) -> None:
    keras.utils.set_random_seed(11)
    inside = keras.Input((4, 3), name="in put")
    each = keras.layers.TimeDistributed(keras.layers.Dense(2, name="für jede"), name="für alle")
    inner = keras.Sequential([inside, each, keras.layers.Flatten()], name="ïnner")
    rows, more = keras.Input((4, 3), name="Bild 1"), keras.Input((4,), name="a b")
    values = [keras.layers.Dense(4, name="a_b")(more), keras.layers.Dense(4, name="a:b")(more), inner(rows)]
    out = keras.layers.Dense(2, name="Ergebnis ü")(keras.layers.Concatenate()(values))
    model = keras.Model([rows, more], out, name="_mein Modell")
    given = [np.ones((2, 4, 3), np.float32), np.ones((2, 4), np.float32)]
    wanted = np.asarray(model(given))
    source = of_keras(model)
    assert [entry.name for entry in (*source.inputs, *source.outputs)] == ["Bild 1", "a b", "Ergebnis ü"]
    bundle = build(source, Request(tmp_path, "names", "1"))
    assert set(bundle.engines) == {"keras", "litert", "onnx"}
    for name in bundle.engines:
        assert np.allclose(engine_of(bundle, name)(*given)[0], wanted, atol=1e-5), name


def test_tables_of_words_are_kept_in_a_graph_alone(tmp_path: Path) -> None:
    words = keras.Input((1,), dtype="string")
    found = keras.layers.StringLookup(vocabulary=["good", "bad"])(words)
    source = of_keras(keras.Model(words, found), graph_only=True)
    bundle = build(source, Request(tmp_path, "words", "1"), exporters={})
    given = np.array([["bad"], ["other"]], object)
    assert engine_of(bundle, "keras")(given)[0].tolist() == [[2], [0]]


def test_a_model_that_answers_at_random_is_refused(tmp_path: Path) -> None:
    augmenting().export(tmp_path / "exported", verbose=False)
    source = loaders.load(str(tmp_path / "exported"), None, allow_unsafe=False)
    with pytest.raises(BuildError, match=r"does not answer the same twice: differs.*build the \.keras file"):
        build(source, Request(tmp_path / "store", "m", "1"), exporters={})
    assert not (tmp_path / "store").exists()


def test_a_graph_alone_is_its_own_reference(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Lambda(lambda values: values * 2 + 1)])
    source = of_keras(model, graph_only=True)
    bundle = build(source, Request(tmp_path, "graph", "1"), exporters={})
    assert bundle.engines["keras"].name == "model.savedmodel.zip"
    assert_answers_as(bundle, source)


def test_mobilenet(tmp_path: Path) -> None:
    keras.utils.set_random_seed(7)
    model = lively(keras.applications.MobileNetV2(input_shape=(96, 96, 3), alpha=0.35, weights=None, classes=10))
    source = of_keras(model, application="MobileNetV2")
    how = Preprocessing(96, 96, range="-1..1")
    bundle = build(source, Request(tmp_path, "mobile", "1", preprocessing=how))
    assert set(bundle.engines) == {"keras", "litert", "onnx"}
    answers = bundle.golden_tensors()[1][0]
    assert np.ptp(answers, axis=0).max() > 0.01, "a proof on answers that are all the same would say nothing"
    assert 10_000_000 < bundle.built["multiply_adds"] < 14_000_000


# --- What may go wrong


def script(code: str) -> Exporter:
    """An exporter of these few lines; sys.argv[2] is the file to write."""
    return Exporter(("-c", f"import os, shutil, signal, sys, time; {code}"), "model.other")


def copy_of(bundle: Bundle, engine: str) -> Exporter:
    """An exporter whose work is done already."""
    return script(f"shutil.copy({str(bundle.folder / bundle.engine_file(engine).name)!r}, sys.argv[2])")


def test_exporters_that_fail_lose_their_candidates_alone(tmp_path: Path) -> None:
    codes = {
        "crashes": "os.kill(os.getpid(), signal.SIGSEGV)",
        "ends": "os._exit(3)",
        "raises": r"raise ValueError('unsupported opset\nand much more')",
        "tells": "raise ValueError('In Node ' + 'x' * 900 + 'No Op registered for Bitcast')",
        "forgets": "pass",
        "onnx": "open(sys.argv[2], 'w').write('nonsense')",
    }
    reasons = {
        "crashes": "export: crashed (SIGSEGV)",
        "ends": "export: ended with status 3 and no message",
        "raises": "export: ValueError: unsupported opset",
        "tells": "export: ValueError: In Node xxx",
        "forgets": "export: wrote no file",
        "onnx": "run: InvalidProtobuf: ",
    }
    exporters = {engine: script(code) for engine, code in codes.items()}
    bundle = build(of_keras(dense()), Request(tmp_path, "m", "1"), exporters=exporters)
    assert set(bundle.engines) == {"keras"} == {bundle.default_engine}
    for engine, why in reasons.items():
        found = outcome(bundle, engine)
        assert found.outcome == "failed"
        assert found.reason.startswith(why), found.reason
        assert len(found.reason) < 330
    assert outcome(bundle, "tells").reason.endswith("xxxNo Op registered for Bitcast")
    assert not (bundle.folder / "model.other").exists()


def test_an_exporter_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.build.exporting.TIMEOUT", 1.0)
    with pytest.raises(ChildFailed, match=r"^took longer than 1 s$"):
        export(script("time.sleep(600)"), tmp_path, tmp_path, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_tensorflow_says_of_a_graph_is_kept() -> None:
    """It begins with a line that says nothing, and goes on with where in the graph."""
    code = "import tensorflow as tf; print(tf.function(tf.gather)(tf.ones(3), tf.constant([5])))"
    with pytest.raises(ChildFailed, match=r"^InvalidArgumentError: indices\[0\] = 5 is not in \[0, 3\)"):
        child.run(["-c", code], timeout=300)


def test_a_file_that_answers_otherwise_is_thrown_out_with_its_figures(tmp_path: Path, rows: Bundle) -> None:
    exporters = {"onnx": copy_of(rows, "onnx")}
    bundle = build(of_keras(dense(seed=2)), Request(tmp_path, "m", "1"), exporters=exporters)
    found = outcome(bundle, "onnx")
    assert (found.outcome, found.reason) == ("thrown out", "differs")
    assert found.largest > 0.01
    assert found.agreement < 1
    assert "onnx" not in bundle.engines
    assert not (bundle.folder / "model.other").exists()


def test_a_model_that_answers_nan_is_refused(tmp_path: Path) -> None:
    model = dense()
    model.set_weights([values * np.nan for values in model.get_weights()])
    with pytest.raises(BuildError, match="NaN or infinity"):
        build(of_keras(model), Request(tmp_path / "new", "m", "1"), exporters={})
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_run_is_refused_with_the_reason(tmp_path: Path) -> None:
    layers = [
        keras.layers.RandomCrop(4, 4),
        keras.layers.Flatten(),
        keras.layers.Dense(2),
    ]  # it crops in training alone
    with pytest.raises(BuildError, match=r"^The model cannot be run on this machine: Input 0 .*48.*192\)$"):
        build(of_keras(keras.Sequential([keras.Input((8, 8, 3)), *layers])), Request(tmp_path, "m", "1"), exporters={})


@pytest.mark.parametrize(
    ("layer", "shape", "dtype"),
    [
        (keras.layers.RandomCrop(8, 10), (None, None, 3), "float32"),
        (keras.layers.AdaptiveAveragePooling2D(2), (None, None, 2), "float32"),
        (lambda values: keras.ops.gcd(values, 6 * keras.ops.ones_like(values)), (6,), "int32"),
    ],
    ids=["crop", "pooling", "gcd"],
)
def test_what_has_no_graph_for_any_size_is_refused_with_what_to_do(
    tmp_path: Path, layer: Callable[[Any], Any], shape: tuple[int | None, ...], dtype: str
) -> None:
    inputs = keras.Input(shape, dtype=dtype)
    with pytest.raises(BuildError, match=r"There is no graph .* with a fixed size"):
        build(of_keras(keras.Model(inputs, layer(inputs))), Request(tmp_path, "m", "1"), exporters={})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("plain\nmore", "plain"),
        ("", "ValueError"),
        (
            "in user code:\n\n    File 'x.py', line 1, in f  *\n        f(x)\n\n    TypeError: It is wrong.\n",
            "It is wrong.",
        ),
        (
            "Exception encountered when calling A.call().\n\n\x1b[1mNo such axis.\x1b[0m\n\nArguments received",
            "No such axis.",
        ),
        (
            "Error when deserializing class 'A' using config={}.\n\nException encountered: No such argument",
            "No such argument",
        ),
        ("in user code:", "in user code:"),
    ],
)
def test_what_keras_and_tensorflow_say_is_one_line(said: str, told: str) -> None:
    assert reason(ValueError(said)) == told


def test_labels_must_be_as_many_as_the_outputs(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"There are 2 labels, and the model's output .* has 3 values"):
        build(of_keras(dense()), Request(tmp_path, "m", "1", labels=("a", "b")), exporters={})


def test_a_full_disk_is_noticed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "SPARE", 10**18)
    with pytest.raises(BuildError, match=r"MB free; about .* are needed"):
        build(of_keras(dense()), Request(tmp_path / "store", "m", "1"), exporters={})
    assert list(tmp_path.iterdir()) == []


def test_ties_are_no_disagreement() -> None:
    wanted = [np.array([[0.5, 0.5], [0.9, 0.1]])]
    assert proof.compare([wanted[0] + [[-1e-5, 1e-5], [0, 0]]], wanted).proven
    assert proof.compare([wanted[0][:, ::-1]], wanted).agreement == 0.5
    assert "shape" in proof.compare([wanted[0][:1]], wanted).problem


@pytest.mark.parametrize(("middle", "agreement"), [(None, None), (0.5, 0.75), (0.0, 1.0)])
def test_one_score_is_of_two_labels(middle: float | None, agreement: float | None) -> None:
    wanted = [np.array([[0.1], [0.4], [0.6], [0.9]], np.float32)]
    assert proof.compare([wanted[0] + 0.15], wanted, middle).agreement == agreement
    assert proof.compare(wanted, wanted, middle).proven


# --- What is printed


def test_what_is_printed_of_a_bundle(rows: Bundle) -> None:
    data = json.loads(json.dumps(report.as_json(rows)))
    assert (data["name"], data["version"], data["labels"]) == ("rows", "1", ["a", "b", "c"])
    assert {entry["engine"] for entry in data["candidates"]} == set(rows.engines)
    assert "labels a, b, c; scores as_is" in report.description(rows)
    assert report.run(rows, rows.folder.parents[1]).endswith("kiln run")
    assert f"--store {rows.folder.parents[1]} --model rows" in report.run(rows, ROOT)
    assert report.on_a_node(rows._replace(default_engine="litert")) == ""
    assert "KILN_EXTRAS=keras" in report.on_a_node(rows._replace(default_engine="keras"))


def sent_by(bundle: Bundle, folder: Path) -> str:
    """What the printed command hands to curl, run by a shell with a curl that prints its last argument but one."""
    (folder / "curl").write_text('#!/bin/sh\nwhile [ "$1" != -d ]; do shift; done\n[ "$2" = @- ] && cat || echo "$2"\n')
    (folder / "curl").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(report.curl(bundle), shell=True, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_printed_request_is_one_that_the_model_takes(rows: Bundle, tmp_path: Path) -> None:
    assert json.loads(sent_by(rows, tmp_path)) == {"instances": [[0.0] * 6]}
    large = Tensor("it's", "float32", (None, 32, 32, 3))
    assert np.shape(json.loads(sent_by(rows._replace(inputs=(large,)), tmp_path))["instances"]) == (1, 32, 32, 3)
    golden = {"input_0": np.zeros((8, 32, 32, 3)), "input_1": np.full((8, 3), "a"), "output_0": np.zeros((8, 3))}
    np.savez(tmp_path / "golden.npz", **golden)
    inputs = large, Tensor("word", "string", (None, None))
    two = rows._replace(folder=tmp_path, golden=bundles.File.of(tmp_path / "golden.npz"), inputs=inputs)
    (instance,) = json.loads(sent_by(two, tmp_path))["instances"]
    assert instance["word"] == ["text"] * 3, "as long as the model was asked with"
    assert np.shape(instance["it's"]) == (32, 32, 3)


# --- Where it is made


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "m" / ".building-killed"
    left.mkdir(parents=True)
    (left / "model.keras").write_text("half")
    with work_folder(tmp_path / "m" / "1", 0) as first:
        assert not left.exists()
        with work_folder(tmp_path / "m" / "2", 0):
            assert first.is_dir(), "its build is at work"
    assert list((tmp_path / "m").iterdir()) == []
