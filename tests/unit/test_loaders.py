"""Every form of model that is taken, and what is said of those that are not."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests import old_keras

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
import keras  # noqa: E402

from model.build import loaders  # noqa: E402
from model.build.errors import BuildError  # noqa: E402
from model.build.macs import multiply_adds  # noqa: E402
from model.build.source import Source  # noqa: E402

pytestmark = [pytest.mark.unit, pytest.mark.slow]


def load(path: Path | str, weights: Path | None = None, *, allow_unsafe: bool = False) -> Source:
    return loaders.load(str(path), weights, allow_unsafe=allow_unsafe)


def dense() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((6,), name="row"), keras.layers.Dense(3, activation="softmax", name="out")])


def two_by_two() -> keras.Model:
    keras.utils.set_random_seed(2)
    left, right = keras.Input((8,), name="left"), keras.Input((4, 4, 3), name="right")
    joined = keras.layers.Concatenate()(
        [keras.layers.Dense(4)(left), keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(right))]
    )
    outputs = {"total": keras.layers.Dense(3)(joined), "chance": keras.layers.Dense(2, activation="softmax")(joined)}
    return keras.Model({"left": left, "right": right}, outputs)


def rows(source: Source, count: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(count, *entry.shape[1:])).astype(entry.dtype) for entry in source.inputs]


# --- Keras 3


def test_a_keras_file_answers_as_its_model(tmp_path: Path) -> None:
    model = dense()
    model.save(tmp_path / "m.keras")
    source = load(tmp_path / "m.keras")
    assert [(entry.name, entry.dtype, entry.shape) for entry in source.inputs] == [("row", "float32", (None, 6))]
    (given,) = rows(source)
    assert np.array_equal(source(given)[0], np.asarray(model(given)))
    assert multiply_adds(source) == 18


def test_inputs_and_outputs_have_the_names_that_their_user_gave(tmp_path: Path) -> None:
    model = two_by_two()
    model.save(tmp_path / "m.keras")
    source = load(tmp_path / "m.keras")
    assert [entry.name for entry in source.inputs] == ["left", "right"]
    assert [entry.name for entry in source.outputs] == ["chance", "total"]
    left, right = rows(source)
    wanted = model({"left": left, "right": right})
    for answer, name in zip(source(left, right), ("chance", "total"), strict=True):
        assert np.allclose(answer, wanted[name], atol=1e-6)


@pytest.mark.parametrize("encode", [str, json.dumps], ids=["once", "twice"])
def test_todays_architecture_with_weights(tmp_path: Path, encode: Callable[[str], str]) -> None:
    """json.dump(model.to_json(), file) encodes what is JSON already."""
    model = dense()
    (tmp_path / "m.json").write_text(encode(model.to_json()))
    model.save_weights(tmp_path / "m.weights.h5")
    source = load(tmp_path / "m.json")
    (given,) = rows(source)
    assert np.array_equal(source(given)[0], np.asarray(model(given)))


def test_a_legacy_file_that_keras_3_wrote(tmp_path: Path) -> None:
    model = dense()
    model.save(tmp_path / "m.h5")
    source = load(tmp_path / "m.h5")
    (given,) = rows(source)
    assert np.array_equal(source(given)[0], np.asarray(model(given)))


def test_a_legacy_file_of_keras_3_with_operations(tmp_path: Path) -> None:
    """Some have the name of a layer."""
    given = keras.Input((8,))
    values = keras.layers.Dense(8)(given / 2.0 - 1.0) + given
    values = keras.ops.mean(values[:, 1:5], axis=-1, keepdims=True) * 2 + keras.layers.Reshape((8,))(given)
    attended = keras.layers.Attention()([keras.layers.Reshape((4, 2))(values)] * 2)
    model = keras.Model(given, keras.layers.Softmax(axis=(1, 2))(attended))
    model.save(tmp_path / "m.h5")
    source = load(tmp_path / "m.h5")
    (row,) = rows(source)
    assert np.array_equal(source(row)[0], np.asarray(model(row)))


# --- Keras 2


def cats_and_dogs() -> keras.Model:
    """The same network in Keras 3's own words."""
    weights = [values for pairs in old_keras.cats_and_dogs_weights().values() for _, values in pairs]
    model = keras.Sequential(
        [
            keras.Input((20, 20, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(2, activation="sigmoid"),
        ]
    )
    model.set_weights(weights)
    return model


@pytest.mark.parametrize("form", ["whole", "two files", "two files of one name", "weights of a whole model"])
def test_files_of_keras_2_answer_as_they_did(tmp_path: Path, form: str) -> None:
    layers, weights = old_keras.cats_and_dogs(), old_keras.cats_and_dogs_weights()
    (tmp_path / "m.json").write_text(old_keras.architecture(layers))
    if form == "whole":
        source = load(old_keras.save(tmp_path / "whole.h5", layers, weights))
    elif form == "two files":
        source = load(tmp_path / "m.json", old_keras.save_weights(tmp_path / "w.h5", layers, weights))
    elif form == "two files of one name":
        source = load(old_keras.save_weights(tmp_path / "m.h5", layers, weights))
    else:
        source = load(tmp_path / "m.json", old_keras.save(tmp_path / "whole.h5", layers, weights))
    (given,) = rows(source)
    assert np.allclose(source(given)[0], cats_and_dogs()(given), atol=1e-6)
    assert source.model is not None


def test_kernels_that_theano_turned_around_are_turned_back(tmp_path: Path) -> None:
    layers, weights = old_keras.cats_and_dogs(), old_keras.cats_and_dogs_weights()
    name, kernel = weights["conv2d_1"][0]
    weights["conv2d_1"][0] = (name, kernel[::-1, ::-1])
    (tmp_path / "m.json").write_text(old_keras.architecture(layers))
    source = load(tmp_path / "m.json", old_keras.save_weights(tmp_path / "w.h5", layers, weights, b"theano"))
    (given,) = rows(source)
    assert np.allclose(source(given)[0], cats_and_dogs()(given), atol=1e-6)


def test_a_functional_model_of_keras_2_within_a_sequential(tmp_path: Path) -> None:
    depthwise = {key.replace("kernel", "depthwise"): value for key, value in old_keras.TRAINED.items()}
    node = old_keras.node
    inner = [
        old_keras.taken("input_1", 8, 8, 3),
        node("DepthwiseConv2D", "dw", "input_1", kernel_size=[3, 3], padding="same", groups=1, **depthwise),
        node("BatchNormalization", "bn", "dw", axis=3, epsilon=0.001, momentum=0.99),
        node("LeakyReLU", "leaky", "bn", alpha=0.2),
        node("Add", "add", "leaky", "input_1"),
        node("GlobalAveragePooling2D", "pool", "add", data_format="channels_last"),
    ]
    config = {"name": "m", "layers": inner, "input_layers": [["input_1", 0, 0]], "output_layers": [["pool", 0, 0]]}
    layers = [
        {"class_name": "Model", "config": config},
        old_keras.layer("Dense", "top", units=2, activation="linear", **old_keras.TRAINED),
    ]
    values = keras.Input((8, 8, 3))
    parts = [keras.layers.DepthwiseConv2D(3, padding="same"), keras.layers.BatchNormalization(epsilon=0.001)]
    inside = keras.layers.LeakyReLU(negative_slope=0.2)(parts[1](parts[0](values)))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([inside, values]))
    parts.append(keras.layers.Dense(2))
    model = keras.Model(values, parts[2](pooled))
    rng = np.random.default_rng(8)
    for part in parts:
        part.set_weights([rng.uniform(0.1, 1, value.shape) for value in part.get_weights()])
    kernel, bias, gamma, beta, mean, variance = (value for part in parts[:2] for value in part.get_weights())
    named = {"dw/kernel": kernel, "dw/bias": bias, "bn/gamma": gamma, "bn/beta": beta}  # what is trained comes first
    weights = {
        "m": list({**named, "bn/moving_mean": mean, "bn/moving_variance": variance}.items()),
        "top": [(f"top/{number}", value) for number, value in enumerate(parts[2].get_weights())],
    }
    file = old_keras.save(tmp_path / "m.h5", layers, weights)
    source = load(file)
    (given,) = rows(source)
    assert np.allclose(source(given)[0], model(given), atol=1e-5)


def old_lstm(tmp_path: Path) -> tuple[Path, list[np.ndarray]]:
    rng = np.random.default_rng(5)
    shapes = {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes.values()]
    config = {
        "batch_input_shape": [None, 5, 3],
        "units": 4,
        "activation": "tanh",
        "recurrent_activation": "hard_sigmoid",
        "unit_forget_bias": True,
        "implementation": 0,
        "return_sequences": False,
        "go_backwards": False,
        "stateful": False,
        "unroll": False,
        "dropout": 0.0,
        "recurrent_dropout": 0.0,
        **old_keras.TRAINED,
    }
    weights = {"lstm_1": [(f"lstm_1/{name}:0", values) for name, values in zip(shapes, arrays, strict=True)]}
    return old_keras.save(tmp_path / "lstm.h5", [old_keras.layer("LSTM", "lstm_1", **config)], weights), arrays


def test_recurrent_layers_keep_the_hard_sigmoid_of_keras_2(tmp_path: Path) -> None:
    file, (kernel, recurrent, bias) = old_lstm(tmp_path)
    source = load(file)
    (given,) = rows(source)

    def gate(values: np.ndarray) -> np.ndarray:
        return np.clip(0.2 * values + 0.5, 0, 1)

    state = carry = np.zeros((len(given), 4))
    for step in range(given.shape[1]):
        i, f, c, o = np.split(given[:, step] @ kernel + state @ recurrent + bias, 4, axis=1)
        carry = gate(f) * carry + gate(i) * np.tanh(c)
        state = gate(o) * np.tanh(carry)
    assert np.allclose(source(given)[0], state, atol=1e-5)
    assert source.model is None, "Keras 3 alone would load another hard_sigmoid"


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    layers, weights = old_keras.cats_and_dogs(), old_keras.cats_and_dogs_weights()
    (tmp_path / "m.json").write_text(old_keras.architecture(layers))
    weights["dense_1"][0] = ("dense_1/kernel:0", np.zeros((100, 8), np.float32))
    with pytest.raises(BuildError, match=r"do not fit the architecture: layer 'dense_1' has weights of .*324"):
        load(tmp_path / "m.json", old_keras.save_weights(tmp_path / "w.h5", layers, weights))
    del weights["dense_1"]
    with pytest.raises(BuildError, match="3 layers with weights, and the file holds weights of 2"):
        load(tmp_path / "m.json", old_keras.save_weights(tmp_path / "w.h5", layers, weights))


@pytest.mark.parametrize("name", ["m.keras", "mask_detector.model", "m", "M.H5", "m.json"])
def test_files_are_known_by_what_they_hold(tmp_path: Path, name: str) -> None:
    """tf.keras 2.3 to 2.11 wrote HDF5 into files of any name, .keras too."""
    source = load(old_keras.save(tmp_path / name, old_keras.cats_and_dogs(), old_keras.cats_and_dogs_weights()))
    (given,) = rows(source)
    assert np.allclose(source(given)[0], cats_and_dogs()(given), atol=1e-6)


@pytest.mark.parametrize("name", ["m.h5", "m.zip"])
def test_an_archive_is_known_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    model = dense()
    model.save(tmp_path / "m.keras")
    source = load((tmp_path / "m.keras").rename(tmp_path / name))
    (given,) = rows(source)
    assert np.array_equal(source(given)[0], np.asarray(model(given)))


def test_an_architecture_is_known_whatever_it_is_called(tmp_path: Path) -> None:
    layers, weights = old_keras.cats_and_dogs(), old_keras.cats_and_dogs_weights()
    (tmp_path / "architecture.txt").write_text("\n" + old_keras.architecture(layers))
    source = load(tmp_path / "architecture.txt", old_keras.save_weights(tmp_path / "w.weights", layers, weights))
    (given,) = rows(source)
    assert np.allclose(source(given)[0], cats_and_dogs()(given), atol=1e-6)


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "converted_keras.zip", "w") as archive:
        archive.writestr("keras_model.h5", b"")
    with pytest.raises(BuildError, match=r"is an archive without a Keras model .* unpack it and build that"):
        load(tmp_path / "converted_keras.zip")


# --- SavedModels and applications


def test_a_saved_model_of_a_plain_function(tmp_path: Path) -> None:
    module = tf.Module()
    module.weight = tf.Variable(tf.range(6.0)[:, None])

    @tf.function(input_signature=[tf.TensorSpec((None, 6), tf.float32, name="row")])
    def serve(row: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"sum": row @ module.weight, "twice": 2 * row}

    tf.saved_model.save(module, str(tmp_path / "m"), signatures=serve)
    source = load(tmp_path / "m")
    assert [(entry.name, entry.shape) for entry in source.outputs] == [("sum", (None, 1)), ("twice", (None, 6))]
    given = np.ones((3, 6), np.float32)
    assert source(given)[0].tolist() == [[15.0]] * 3
    assert multiply_adds(source) == 6


def of_tensorflow_1(folder: Path, *, counts: bool = False) -> Path:
    """As its builder wrote a graph, with variables that are no resources. counts: calls, in one of them."""
    v1 = tf.compat.v1
    with v1.Graph().as_default() as graph, v1.Session() as session:
        left, right = (v1.placeholder(tf.float32, (None, 3), name) for name in ("b_left", "a_right"))
        unused = v1.placeholder(tf.float32, (None, 1), "unused")
        values = np.random.default_rng(1).normal(size=(3, 2)).astype(np.float32)
        weight = v1.get_variable("dense/weight", initializer=values, use_resource=False)
        bias = v1.get_variable("bias", initializer=np.float32([1, 2]), use_resource=False)
        total = tf.matmul(left - 2 * right, weight)
        if counts:
            bias = v1.assign_add(bias, [1.0, 1.0])
        answers = {"z_total": total + bias, "a_chance": tf.nn.softmax(total), "left": left}
        session.run(v1.global_variables_initializer())
        takes = {"b": left, "a": right, "unused": unused}
        info = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def(
            {name: info(tensor) for name, tensor in takes.items()},
            {name: info(tensor) for name, tensor in answers.items()},
            "tensorflow/serving/predict",
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
        assert {"VariableV2"} <= {node.op for node in graph.as_graph_def().node}
    return folder


def test_a_saved_model_of_tensorflow_1_keeps_its_variables(tmp_path: Path) -> None:
    source = load(of_tensorflow_1(tmp_path / "m"))
    assert [entry.name for entry in source.inputs] == ["a", "b", "unused"]
    assert [entry.name for entry in source.outputs] == ["a_chance", "left", "z_total"]
    assert sum(int(np.prod(weight.shape)) for weight in source.weights) == 8
    right, left, _ = given = rows(source)
    chance, same, total = source(*given)
    wanted = (left - 2 * right) @ np.random.default_rng(1).normal(size=(3, 2)).astype(np.float32)
    assert np.allclose(total, wanted + np.float32([1, 2]), atol=1e-5)
    assert np.allclose(chance, np.exp(wanted) / np.exp(wanted).sum(1, keepdims=True), atol=1e-5)
    assert np.array_equal(same, left)
    source.save_graph(tmp_path / "saved")
    again = load(tmp_path / "saved")
    for answer, expected in zip(again(*given), source(*given), strict=True):
        assert np.allclose(answer, expected, atol=1e-6)


def test_a_saved_model_of_tensorflow_1_that_changes_its_variables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"variables of TensorFlow 1 that cannot be kept: .* Freeze it"):
        load(of_tensorflow_1(tmp_path / "m", counts=True))


def test_a_model_that_keras_exported(tmp_path: Path) -> None:
    model = dense()
    model.export(tmp_path / "m", verbose=False)
    source = load(tmp_path / "m")
    (given,) = rows(source)
    assert np.allclose(source(given)[0], model(given), atol=1e-6)


def test_an_application_with_its_weights(tmp_path: Path) -> None:
    options = {"input_shape": (32, 32, 3), "alpha": 0.35, "classes": 4}
    model = keras.applications.MobileNetV2(weights=None, **options)
    model.save_weights(tmp_path / "w.weights.h5")
    spec = "keras.applications:MobileNetV2?input_shape=32,32,3&alpha=0.35&classes=4"
    source = load(spec, tmp_path / "w.weights.h5")
    assert source.application == "MobileNetV2"
    (given,) = rows(source, 2)
    assert np.allclose(source(given)[0], model(given), atol=1e-6)
    with pytest.raises(BuildError, match=r"does not fit .*say which, as in"):
        load("keras.applications:MobileNetV2?input_shape=32,32,3&classes=4", tmp_path / "w.weights.h5")
    with pytest.raises(BuildError, match="'cheese' is no option"):
        load("keras.applications:MobileNetV2?cheese=1", tmp_path / "w.weights.h5")
    with pytest.raises(BuildError, match=r"nothing is fetched"):
        load("keras.applications:MobileNetV2", None)
    with pytest.raises(BuildError, match=r"no 'MobileNetV9'. It has: .*MobileNetV2"):
        load("keras.applications:MobileNetV9", None)


@pytest.mark.parametrize("pooling", ["avg", "max", "None"])
def test_an_application_without_its_top(tmp_path: Path, pooling: str) -> None:
    model = keras.applications.MobileNet(
        weights=None,
        include_top=False,
        input_shape=(32, 32, 3),
        alpha=0.25,
        pooling=None if pooling == "None" else pooling,
    )
    model.save_weights(tmp_path / "no_top.weights.h5")
    variant = "keras.applications:MobileNet?alpha=0.25&input_shape=32,32,3"
    source = load(f"{variant}&include_top=False&pooling={pooling}", tmp_path / "no_top.weights.h5")
    (given,) = rows(source, 2)
    assert np.allclose(source(given)[0], model(given), atol=1e-6)
    with pytest.raises(
        BuildError, match=r"no top, as its name says: build 'keras.*:MobileNet\?include_top=False&pooling"
    ):
        load(variant, tmp_path / "no_top.weights.h5")
    (tmp_path / "no_top.weights.h5").rename(tmp_path / "w.weights.h5")
    with pytest.raises(
        BuildError, match=r"of another variant, .* or .*include_top=False&pooling=avg' for weights without"
    ):
        load(variant, tmp_path / "w.weights.h5")


def test_the_resnet_of_old_keras_had_another_order(tmp_path: Path) -> None:
    layers = [old_keras.layer("Conv2D", name) for name in ("conv1", "res2a_branch2a", "bn2a_branch2a")]
    weights = {"res2a_branch2a": [("kernel:0", np.zeros((1, 1, 64, 64), np.float32))]}
    file = old_keras.save_weights(tmp_path / "w.h5", layers, weights)
    with pytest.raises(
        BuildError, match=r"of ResNet50 as older Keras had it, .*: \./kiln build MODEL.json --weights w"
    ):
        load("keras.applications:ResNet50?input_shape=32,32,3&include_top=False", file)


def test_options_of_applications_are_checked(tmp_path: Path) -> None:
    (tmp_path / "w.weights.h5").write_bytes(b"")
    for option, message in (
        ("include_top=no", "True or False, not 'no'"),
        ("pooling=mean", "avg, max or None, not 'mean'"),
    ):
        with pytest.raises(BuildError, match=message):
            load(f"keras.applications:MobileNet?{option}", tmp_path / "w.weights.h5")


# --- What is refused


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    def call(self, values):
        return 2 * values


def with_lambda() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda values: values + 1)])


def custom(file: Path) -> Path:
    keras.Sequential([keras.Input((3,)), Doubled()]).save(file)
    return file


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_custom_layers_without_their_code_are_named(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = custom(tmp_path / f"m{ending}")
    monkeypatch.delitem(keras.saving.get_custom_objects(), "tests>Doubled")
    if ending == ".keras":  # what is importable is found by its module
        _rewrite(file, lambda text: text.replace(__name__, "somewhere.else"))
    with pytest.raises(BuildError, match=r"needs the \w+ '.*Doubled'.*export"):
        load(file)


def _rewrite(file: Path, change: Callable[[str], str]) -> None:
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents["config.json"] = change(contents["config.json"].decode()).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_code_runs_only_when_the_user_says_so(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"m{ending}"
    with_lambda().save(file)
    with pytest.raises(BuildError, match=r"Lambda layer.*--allow-unsafe"):
        load(file)
    source = load(file, allow_unsafe=True)
    assert source(np.zeros((1, 3), np.float32))[0].tolist() == [[1, 1, 1]]
    assert source.model is None, "the bundle holds the graph, not the code"


def test_code_that_another_python_compiled_is_told_of(tmp_path: Path) -> None:
    """lambda x: x * 2 + 1, as Keras 2.0.4 wrote it with Python 3.6."""
    code = (
        "\xe3\x01\0\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0S\0\0\0s\x0c\0\0\0|\0d\x01\x14\0d\x02\x17\0S\0)\x03N\xe9\x02\0\0\0"
        "\xe9\x01\0\0\0\xa9\0)\x01\xda\x01xr\x03\0\0\0r\x03\0\0\0\xfa\x06old.py\xda\x08<lambda>\x9b\0\0\0s\0\0\0\0"
    )
    layers = [
        old_keras.layer("Dense", "d", batch_input_shape=[None, 3], units=2, **old_keras.TRAINED),
        old_keras.layer(
            "Lambda",
            "double",
            function=[code, None, None],
            function_type="lambda",
            output_shape=None,
            output_shape_type="raw",
            arguments={},
        ),
    ]
    with pytest.raises(
        BuildError, match=r"as another Python compiled it, and Python 3\.\d+ cannot read it.*simple_save"
    ):
        load(old_keras.save(tmp_path / "m.h5", layers, {}), allow_unsafe=True)


def test_an_unknown_layer_of_keras_2_is_named(tmp_path: Path) -> None:
    layers = [old_keras.layer("Dense", "d", batch_input_shape=[None, 3], units=2, **old_keras.TRAINED)]
    layers.append(old_keras.layer("DenseFeatures", "features"))
    with pytest.raises(BuildError, match=r"needs the layer 'DenseFeatures'.*export"):
        load(old_keras.save(tmp_path / "m.h5", layers, {}))


@pytest.mark.parametrize(
    ("version", "way"),
    [
        ("1.2.2", "simple_save"),
        ("2.0.4", "simple_save"),
        ("2.3.1", "simple_save"),
        ("2.2.4-tf", "saved_model.save"),
        ("2.4.0", "saved_model.save"),
        ("2.12.0", "saved_model.save"),
        ("2.13.1", "model.export"),
    ],
)
def test_the_way_out_is_one_that_the_keras_of_the_file_has(tmp_path: Path, version: str, way: str) -> None:
    layers = [old_keras.layer("Dense", "d", batch_input_shape=[None, 3], units=2, **old_keras.TRAINED)]
    layers.append(old_keras.layer("LocallyConnected2D", "local"))
    with h5py.File(old_keras.save(tmp_path / "m.h5", layers, {}), "a") as content:
        content.attrs["keras_version"] = version.encode()
    with pytest.raises(BuildError) as caught:
        load(tmp_path / "m.h5")
    found = [name for name in ("simple_save", "saved_model.save", "model.export") if f"{name}(" in str(caught.value)]
    assert found == [way]


def test_weights_alone_are_refused(tmp_path: Path) -> None:
    file = old_keras.save_weights(tmp_path / "w.h5", old_keras.cats_and_dogs(), old_keras.cats_and_dogs_weights())
    with pytest.raises(BuildError, match=r"holds weights alone. Give the architecture"):
        load(file)
    (tmp_path / "m.json").write_text(old_keras.architecture(old_keras.cats_and_dogs()))
    with pytest.raises(BuildError, match=r"architecture alone. Give its weights"):
        load(tmp_path / "m.json")


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    dense().save(file)
    data = file.read_bytes()
    for length in (len(data) // 2, len(data) - 5, 100):
        file.write_bytes(data[:length])
        with pytest.raises(BuildError):
            load(file)
    file.write_bytes(b"")
    with pytest.raises(BuildError, match="is empty"):
        load(file)


def test_other_files_are_refused(tmp_path: Path) -> None:
    for name, content, message in (
        ("m.keras", b"text", "no .keras file"),
        ("m.h5", b"text", "no HDF5 file"),
        ("m.json", b"{", "no JSON"),
        ("m.json", b'"{"', "no JSON"),
        ("m.json", b'"[]"', "no Keras architecture"),
        ("m.json", json.dumps({"layers": []}).encode(), "no Keras architecture"),
        ("m.pb", b"x", "of no form that is taken"),
        ("m.yaml", b"backend: tensorflow\nclass_name: Sequential", r"is YAML, which is not taken\..*model.to_json"),
        ("m.yml", b"class_name: Model", "is YAML, which is not taken"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BuildError, match=message):
            load(tmp_path / name, tmp_path / "m.h5" if name in ("m.json", "m.yaml") else None)
    with pytest.raises(BuildError, match="--weights goes with an architecture"):
        load(tmp_path / "m.keras", tmp_path / "m.h5")
    with pytest.raises(BuildError, match="does not exist"):
        load(tmp_path / "nothing.keras")
    with pytest.raises(BuildError, match="no SavedModel"):
        load(tmp_path)


def test_a_damaged_saved_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x0f\xff\xff")
    with pytest.raises(BuildError, match="cannot be loaded by TensorFlow"):
        load(tmp_path)
