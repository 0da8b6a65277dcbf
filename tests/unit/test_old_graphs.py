"""Models of Keras 2 within models, shared ones, and layers that take more than tensors in a row."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import old_keras
from tests.old_keras import functional, layer, node, taken, within

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
import keras
from keras.src.applications import convnext

from model.build import loaders
from model.build.errors import BuildError

pytestmark = [pytest.mark.unit, pytest.mark.slow]

L = keras.layers
PICTURE = (8, 8, 3)


def lively(model: keras.Model) -> keras.Model:
    """Weights that leave no answer as it was: means, variances and biases, too."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.2, 1.0, values.shape) for values in model.get_weights()])
    return model


def weights_of(layers: list[keras.layers.Layer]) -> old_keras.Weights:
    """As Keras 2 stored them: what is trained comes first."""
    stored = {}
    for part in layers:
        values = [*part.trainable_weights, *part.non_trainable_weights]
        stored[part.name] = [(f"{part.name}/{number}:0", np.asarray(value)) for number, value in enumerate(values)]
    return stored


def own_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Those that compute, also within models."""
    return [part for part in model._flatten_layers() if not isinstance(part, keras.Model)]


def assert_loads(folder: Path, old: dict[str, Any], model: keras.Model) -> None:
    """The file of Keras 2 with this configuration and the model's weights answers as the model."""
    assert_same(old_keras.save_model(folder / "m.h5", old, weights_of(model.layers)), model)


def assert_same(file: Path, model: keras.Model) -> None:
    source = loaders.load(str(file), None, allow_unsafe=False)
    rng = np.random.default_rng(2)
    given = [rng.normal(size=(4, *entry.shape[1:])).astype(np.float32) for entry in source.inputs]
    wanted = keras.tree.flatten(model(given if len(given) > 1 else given[0], training=False))
    assert np.ptp(np.asarray(wanted[0]), axis=0).max() > 0.01, "answers that are all the same would say nothing"
    for answer, expected in zip(source(*given), wanted, strict=True):
        assert np.allclose(answer, expected, atol=1e-5)


def convolution(name: str, before: str, filters: int) -> dict[str, Any]:
    return node("Conv2D", name, before, filters=filters, kernel_size=[3, 3], **old_keras.TRAINED)


def dense(name: str, *calls: Any, units: int = 2) -> dict[str, Any]:
    return node("Dense", name, *calls, units=units, activation="linear", **old_keras.TRAINED)


def old_base(name: str = "base") -> dict[str, Any]:
    layers = [
        taken("input_1", *PICTURE),
        convolution("conv", "input_1", 4),
        node("BatchNormalization", "bn", "conv", axis=[3], momentum=0.99, epsilon=0.001),
        node("GlobalMaxPooling2D", "pool", "bn", data_format="channels_last"),
    ]
    return functional(name, layers, ["input_1"], [["pool", 0, 0]])


def base(name: str = "base") -> keras.Model:
    pictures = keras.Input(PICTURE)
    normal = L.BatchNormalization(epsilon=0.001, name="bn")(L.Conv2D(4, 3, name="conv")(pictures))
    return keras.Model(pictures, L.GlobalMaxPooling2D()(normal), name=name)


def transfer_learning() -> tuple[dict[str, Any], keras.Model]:
    layers = [
        taken("picture", *PICTURE),
        within(old_base(), [["picture", 0, 0, {"training": False}]]),
        node("Dropout", "drop", [["base", 1, 0, {}]], rate=0.2, noise_shape=None, seed=None),
        dense("hidden", "drop", units=3),
        dense("out", "hidden"),
    ]
    picture = keras.Input(PICTURE, name="picture")
    hidden = L.Dense(3, name="hidden")(L.Dropout(0.2, name="drop")(base()(picture)))
    old = functional("m", layers, ["picture"], [["out", 0, 0]])
    return old, lively(keras.Model(picture, L.Dense(2, name="out")(hidden)))


def test_transfer_learning(tmp_path: Path) -> None:
    assert_loads(tmp_path, *transfer_learning())


def test_an_archive_of_keras_2(tmp_path: Path) -> None:
    old, model = transfer_learning()
    weights = weights_of(own_layers(model))
    file = old_keras.save_archive(tmp_path / "m.keras", old, weights)
    assert_same(file, model)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("assets/layers/text_vectorization/vocabulary.txt", "good\n")
    with pytest.raises(BuildError, match=r"is of Keras 2.15.0 and holds a vocabulary"):
        assert_same(file, model)


def test_an_archive_of_keras_2_with_weights_of_another_model(tmp_path: Path) -> None:
    old, model = transfer_learning()
    weights = weights_of(own_layers(model))
    del weights["hidden"]
    with pytest.raises(BuildError, match="cannot be loaded"):
        assert_same(old_keras.save_archive(tmp_path / "m.keras", old, weights), model)


@pytest.mark.parametrize("form", ["h5", "keras"])
def test_names_with_slashes(tmp_path: Path, form: str) -> None:
    """As DenseNet and MobileNetV3 have them; Keras 3 allows none, and two may not become one."""
    inner = [
        taken("in/put", *PICTURE),
        convolution("conv1/conv", "in/put", 4),
        convolution("conv1_conv", "conv1/conv", 4),
        node("Add", "conv1/sum", ["conv1/conv", 0, 0, {}], ["conv1_conv", 0, 0, {}]),
        node("GlobalMaxPooling2D", "pool", "conv1/sum"),
    ]
    inner[1]["config"]["padding"] = inner[2]["config"]["padding"] = "same"
    inner[3]["inbound_nodes"] = [inner[3]["inbound_nodes"]]
    base = functional("base/one", inner, ["in/put"], [["pool", 0, 0]])
    layers = [
        taken("picture", *PICTURE),
        within(base, [["picture", 0, 0, {}]]),
        dense("a/out", [["base/one", 1, 0, {}]]),
    ]
    old = functional("m/n", layers, ["picture"], [["a/out", 0, 0]])

    given, first, second = keras.Input(PICTURE), L.Conv2D(4, 3, padding="same"), L.Conv2D(4, 3, padding="same")
    values = first(given)
    part = keras.Model(given, L.GlobalMaxPooling2D()(L.Add()([values, second(values)])))
    picture, out = keras.Input(PICTURE), L.Dense(2)
    model = lively(keras.Model(picture, out(part(picture))))
    whole = {"base/one": part} if form == "h5" else {}  # a .keras file has the weights of the layers within alone
    stored = {"conv1/conv": first, "conv1_conv": second, "a/out": out, **whole}
    weights = {name: weights_of([layer])[layer.name] for name, layer in stored.items()}
    save = old_keras.save_model if form == "h5" else old_keras.save_archive
    assert_same(save(tmp_path / f"m.{form}", old, weights), model)


def test_a_model_called_twice(tmp_path: Path) -> None:
    layers = [
        taken("left", *PICTURE),
        taken("right", *PICTURE),
        within(old_base("twin"), [["left", 0, 0, {}]], [["right", 0, 0, {}]]),
        node("Subtract", "less", [["twin", 1, 0, {}], ["twin", 2, 0, {}]]),
        dense("out", "less"),
    ]
    left, right, twin = keras.Input(PICTURE, name="left"), keras.Input(PICTURE, name="right"), base("twin")
    less = L.Subtract(name="less")([twin(left), twin(right)])
    old = functional("m", layers, ["left", "right"], [["out", 0, 0], ["twin", 2, 0]])
    model = keras.Model([left, right], [L.Dense(2, name="out")(less), twin(right)])
    assert_loads(tmp_path, old, lively(model))


def test_models_within_models_within_models(tmp_path: Path) -> None:
    middle = [
        taken("input_2", *PICTURE),
        within(old_base(), [["input_2", 0, 0, {}]]),
        dense("wide", [["base", 1, 0, {}]], units=3),
        dense("narrow", [["base", 1, 0, {}]], units=2),
    ]
    old_middle = functional("middle", middle, ["input_2"], [["wide", 0, 0], ["narrow", 0, 0]])
    layers = [
        taken("picture", *PICTURE),
        within(old_middle, [["picture", 0, 0, {"training": False}]]),
        dense("out", [["middle", 1, 1, {}]]),
    ]
    picture, inside = keras.Input(PICTURE, name="picture"), keras.Input(PICTURE)
    features = base()(inside)
    ends = [L.Dense(3, name="wide")(features), L.Dense(2, name="narrow")(features)]
    wide, narrow = keras.Model(inside, ends, name="middle")(picture)
    old = functional("m", layers, ["picture"], [["out", 0, 0], ["middle", 1, 0]])
    assert_loads(tmp_path, old, lively(keras.Model(picture, [L.Dense(2, name="out")(narrow), wide])))


@pytest.mark.parametrize("first_call", [0, 1])
def test_a_sequential_within(tmp_path: Path, first_call: int) -> None:
    """One that knew its input counted its making as call 0; one that did not, did not."""
    inner = layer("Dense", "inner", units=3, activation="relu", **old_keras.TRAINED)
    start = [{"class_name": "InputLayer", "config": {"batch_input_shape": [None, 5], "name": "dense_input"}}]
    sequential = {"name": "head", "layers": [*(start if first_call else []), inner]}
    layers = [
        taken("row", 5),
        within({"class_name": "Sequential", "config": sequential}, [["row", 0, 0, {}]]),
        dense("out", [["head", first_call, 0, {}]]),
    ]
    row = keras.Input((5,), name="row")
    head = keras.Sequential([L.Dense(3, activation="relu")], name="head")(row)
    old = functional("m", layers, ["row"], [["out", 0, 0], ["head", first_call, 0]])
    assert_loads(tmp_path, old, lively(keras.Model(row, [L.Dense(2, name="out")(head), head])))


def test_a_model_within_a_sequential_says_where_its_layers_were(tmp_path: Path) -> None:
    inside = old_base()
    for entry in inside["config"]["layers"]:
        entry |= {"module": "keras.layers", "registered_name": None, "build_config": {"input_shape": [None, 8, 8, 3]}}
    inside |= {"module": "keras.src.engine.functional", "registered_name": "Functional"}
    out = layer("Dense", "out", units=2, activation="linear", **old_keras.TRAINED)
    old = {"class_name": "Sequential", "config": {"name": "m", "layers": [inside, out]}}
    assert_loads(tmp_path, old, lively(keras.Sequential([keras.Input(PICTURE), base(), L.Dense(2, name="out")])))


def test_tensors_as_keyword_arguments(tmp_path: Path) -> None:
    shapes = {"query_shape": [None, 6, 4], "value_shape": [None, 6, 4], "key_shape": [None, 6, 4]}
    said = {"num_heads": 2, "key_dim": 3, "value_dim": 3, "output_shape": None, "attention_axes": [1], "use_bias": True}
    layers = [
        taken("asked", 6, 4),
        taken("told", 6, 4),
        node("MultiHeadAttention", "look", [["asked", 0, 0, {"value": ["told", 0, 0]}]], **said, **shapes),
        dense("out", "look"),
    ]
    asked, told = keras.Input((6, 4), name="asked"), keras.Input((6, 4), name="told")
    out = L.Dense(2, name="out")(L.MultiHeadAttention(2, 3, name="look")(asked, told))
    old = functional("m", layers, ["asked", "told"], [["out", 0, 0]])
    assert_loads(tmp_path, old, lively(keras.Model([asked, told], out)))


def test_a_decoder_that_starts_with_the_encoders_state(tmp_path: Path) -> None:
    said = {"units": 3, "recurrent_activation": "sigmoid", "implementation": 2, **old_keras.TRAINED}
    states = [["decoder_input", 0, 0, {}], ["encoder", 0, 1, {}], ["encoder", 0, 2, {}]]
    layers = [
        taken("encoder_input", 5, 4),
        taken("decoder_input", 6, 4),
        node("LSTM", "encoder", "encoder_input", return_state=True, **said),
        node("LSTM", "decoder", states, return_sequences=True, **said),
    ]
    first, second = keras.Input((5, 4), name="encoder_input"), keras.Input((6, 4), name="decoder_input")
    _, *state = L.LSTM(3, return_state=True, name="encoder")(first)
    decoded = L.LSTM(3, return_sequences=True, name="decoder")(second, initial_state=state)
    old = functional("m", layers, ["encoder_input", "decoder_input"], [["decoder", 0, 0]])
    assert_loads(tmp_path, old, lively(keras.Model([first, second], decoded)))


def old_gate(values: Any) -> Any:
    return keras.ops.clip(0.2 * values + 0.5, 0.0, 1.0)


def test_wrapped_layers_keep_the_hard_sigmoid_of_keras_2(tmp_path: Path) -> None:
    inside = layer("GRU", "gru", units=3, recurrent_activation="hard_sigmoid", reset_after=False, **old_keras.TRAINED)
    inside["config"]["return_sequences"] = True
    each = layer("Dense", "dense", units=2, activation="hard_sigmoid", **old_keras.TRAINED)
    layers = [
        taken("row", 5, 4),
        node("Bidirectional", "both", "row", layer=inside, merge_mode="concat"),
        node("TimeDistributed", "out", "both", layer=each),
    ]
    row = keras.Input((5, 4), name="row")
    with keras.saving.custom_object_scope({"old_gate": old_gate}):
        gru = L.GRU(3, recurrent_activation=old_gate, reset_after=False, return_sequences=True)
        out = L.TimeDistributed(L.Dense(2, activation=old_gate), name="out")(L.Bidirectional(gru, name="both")(row))
    model = lively(keras.Model(row, out))
    model.set_weights([values - 0.6 for values in model.get_weights()])
    assert_loads(tmp_path, functional("m", layers, ["row"], [["out", 0, 0]]), model)


def test_normalization_computes_with_its_weights(tmp_path: Path) -> None:
    layers = [taken("row", 4), node("Normalization", "scaled", "row", axis=[-1]), dense("out", "scaled")]
    row, scaled = keras.Input((4,), name="row"), L.Normalization(name="scaled")
    scaled.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)))
    model = keras.Model(row, L.Dense(2, name="out")(scaled(row)))
    assert_loads(tmp_path, functional("m", layers, ["row"], [["out", 0, 0]]), model)


def test_layers_whose_arguments_are_fewer_now(tmp_path: Path) -> None:
    separable = {"depthwise_initializer": {"class_name": "Zeros", "config": {}}, "pointwise_initializer": "zeros"}
    convolved = {"filters": 3, "kernel_size": [3, 3], "groups": 1, **old_keras.TRAINED}
    layers = [
        taken("picture", *PICTURE),
        node("SeparableConv2D", "apart", "picture", depth_multiplier=1, **convolved, **separable),
        node("Conv2DTranspose", "wider", "apart", output_padding=None, **convolved),
        node("GroupNormalization", "groups", "wider", groups=1, axis=-1, epsilon=0.001),
        node("BatchNormalization", "bn", "groups", axis=3, mode=0),
        node("GlobalMaxPooling2D", "pool", "bn"),
        dense("out", "pool"),
    ]
    layers[-1]["config"]["activation"] = {"class_name": "LeakyReLU", "config": {"name": "leaky", "alpha": 0.1}}
    picture = keras.Input(PICTURE, name="picture")
    values = L.Conv2DTranspose(3, 3, name="wider")(L.SeparableConv2D(3, 3, name="apart")(picture))
    values = L.BatchNormalization(name="bn")(L.GroupNormalization(1, name="groups")(values))
    out = L.Dense(2, activation=L.LeakyReLU(0.1), name="out")(L.GlobalMaxPooling2D(name="pool")(values))
    old = functional("m", layers, ["picture"], [["out", 0, 0]])
    assert_loads(tmp_path, old, lively(keras.Model(picture, out)))


def test_spatial_dropout_does_nothing(tmp_path: Path) -> None:
    for dimensions in (1, 2, 3):
        shape = (4,) * dimensions + (3,)
        more = {"data_format": "channels_last"} if dimensions > 1 else {}
        dropped = {"rate": 0.5, "noise_shape": None, "seed": None, "dtype": "float32", **more}
        layers = [
            taken("grid", *shape),
            node(f"SpatialDropout{dimensions}D", "drop", "grid", **dropped),
            node("Flatten", "flat", "drop"),
            dense("out", "flat"),
        ]
        model = keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(2, name="out")])
        assert_loads(tmp_path, functional("m", layers, ["grid"], [["out", 0, 0]]), lively(model))


def test_attention_has_a_score_mode_of_the_name_of_a_function(tmp_path: Path) -> None:
    common = {"dtype": "float32", "causal": False, "dropout": 0.0, "use_scale": True, "score_mode": "dot"}
    layers = [
        taken("sequence", 5, 4),
        {**layer("Attention", "look", **common), "name": "look", "inbound_nodes": [[["sequence", 0, 0, {}]] * 2]},
        node("Flatten", "flat", "look"),
        dense("out", "flat"),
    ]
    sequence = keras.Input((5, 4))
    looked = L.Attention(use_scale=True, name="look")([sequence, sequence])
    model = keras.Model(sequence, L.Dense(2, name="out")(L.Flatten()(looked)))
    assert_loads(tmp_path, functional("m", layers, ["sequence"], [["out", 0, 0]]), lively(model))


def test_several_axes(tmp_path: Path) -> None:
    layers = [
        taken("picture", *PICTURE),
        node("LayerNormalization", "even", "picture", axis=[1, 2], epsilon=0.001, center=True, scale=True),
        node("Softmax", "soft", "even", axis=[1, 2]),
        node("Flatten", "flat", "soft"),
        dense("out", "flat"),
    ]
    picture = keras.Input(PICTURE)
    values = L.Softmax(axis=(1, 2))(L.LayerNormalization(axis=[1, 2], name="even")(picture))
    model = keras.Model(picture, L.Dense(2, name="out")(L.Flatten()(values)))
    assert_loads(tmp_path, functional("m", layers, ["picture"], [["out", 0, 0]]), lively(model))


def test_discretization_to_numbers(tmp_path: Path) -> None:
    """Its type is that of its answers, and not what the input is rounded to."""
    bins = {"bin_boundaries": [0.0, 0.5], "num_bins": None, "epsilon": 0.01, "output_mode": "int", "sparse": False}
    layers = [taken("row", 4), node("Discretization", "bin", "row", dtype="int64", **bins)]
    row = keras.Input((4,))
    model = keras.Model(row, L.Discretization([0.0, 0.5])(row))
    assert_loads(tmp_path, functional("m", layers, ["row"], [["bin", 0, 0]]), model)


def test_a_relu_with_a_threshold(tmp_path: Path) -> None:
    layers = [taken("row", 4), node("ThresholdedReLU", "some", "row", theta=0.3), dense("out", "some")]
    row = keras.Input((4,))
    model = lively(keras.Model(row, L.Dense(2, name="out")(L.ReLU(threshold=0.3)(row))))
    assert_loads(tmp_path, functional("m", layers, ["row"], [["out", 0, 0]]), model)


def test_discretization(tmp_path: Path) -> None:
    bins = {"bin_boundaries": [-0.5, 0.5], "num_bins": None, "epsilon": 0.01, "output_mode": "one_hot", "sparse": False}
    layers = [taken("number", 1), node("Discretization", "bin", "number", dtype="float32", **bins), dense("out", "bin")]
    number = keras.Input((1,))
    model = keras.Model(number, L.Dense(2, name="out")(L.Discretization([-0.5, 0.5], output_mode="one_hot")(number)))
    assert_loads(tmp_path, functional("m", layers, ["number"], [["out", 0, 0]]), lively(model))


def test_layers_that_applications_have(tmp_path: Path) -> None:
    """ConvNeXt's."""
    layers = [
        taken("row", 4),
        node("LayerScale", "scaled", "row", init_values=1e-6, projection_dim=4, dtype="float32"),
        node("StochasticDepth", "deep", "scaled", drop_path_rate=0.5, dtype="float32"),
        dense("out", "deep"),
    ]
    row, scale = keras.Input((4,)), convnext.LayerScale(1e-6, 4, name="scaled")
    model = lively(keras.Model(row, L.Dense(2, name="out")(scale(row))))
    old = functional("m", layers, ["row"], [["out", 0, 0]])
    assert_loads(tmp_path, old, model)
    assert_same(old_keras.save_archive(tmp_path / "m.keras", old, weights_of(model.layers)), model)


def test_augmentation_does_nothing(tmp_path: Path) -> None:
    """Except that what would be cropped at random is resized, and loses the edges that do not fit."""
    common = {"rng_type": "stateful", "seed": None}
    filled = {"fill_mode": "reflect", "fill_value": 0.0, "interpolation": "bilinear", **common}
    layers = [
        taken("input_1", *PICTURE),
        node("RandomFlip", "flip", "input_1", mode="horizontal_and_vertical", **common),
        node("RandomRotation", "turn", "flip", factor=0.5, **filled),
        node("RandomZoom", "zoom", "turn", height_factor=0.5, width_factor=None, **filled),
        node("RandomTranslation", "move", "zoom", height_factor=0.5, width_factor=0.5, **filled),
        node("RandomContrast", "contrast", "move", factor=0.5, **common),
        node("RandomBrightness", "light", "contrast", factor=0.5, value_range=[0, 255], **common),
        node("RandomHeight", "height", "light", factor=0.5, interpolation="bilinear", **common),
        node("RandomWidth", "width", "height", factor=0.5, interpolation="bilinear", **common),
        node("RandomCrop", "crop", "width", height=6, width=4, **common),
        convolution("conv", "crop", 2),
        node("GlobalMaxPooling2D", "pool", "conv"),
    ]
    picture = keras.Input(PICTURE)
    values = L.GlobalMaxPooling2D()(L.Conv2D(2, 3, name="conv")(L.Resizing(6, 4, crop_to_aspect_ratio=True)(picture)))
    assert_loads(tmp_path, functional("m", layers, ["input_1"], [["pool", 0, 0]]), lively(keras.Model(picture, values)))


# --- TensorFlow's functions -----------------------------------------------------------------------------------------


def called(name: str, *call: Any, kind: str = "TFOpLambda") -> dict[str, Any]:
    """A layer that calls a function. call: as of node, without the list around it."""
    return node(kind, f"tf.{name}", list(call), function=name, dtype="float32")


def test_a_tutorial_s_transfer_learning(tmp_path: Path) -> None:
    """As TensorFlow's own has it: augmentation as a model of its own, and preprocess_input as two functions."""
    flip = layer("RandomFlip", "flip", mode="horizontal", rng_type="stateful", seed=None)
    start = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, *PICTURE], "name": "flip_input"}}
    augment = {"class_name": "Sequential", "config": {"name": "sequential", "layers": [start, flip]}}
    layers = [
        taken("picture", *PICTURE),
        within(augment, [["picture", 0, 0, {}]]),
        called("math.truediv", ["sequential", 1, 0, {"y": 127.5, "name": None}]),
        called("math.subtract", ["tf.math.truediv", 0, 0, {"y": 1.0, "name": None}]),
        within(old_base(), [["tf.math.subtract", 0, 0, {"training": False}]]),
        dense("out", [["base", 1, 0, {}]]),
    ]
    picture = keras.Input(PICTURE, name="picture")
    out = L.Dense(2, name="out")(base()(L.Rescaling(1 / 127.5, -1.0)(picture)))
    old = functional("m", layers, ["picture"], [["out", 0, 0]])
    assert_loads(tmp_path, old, lively(keras.Model(picture, out)))


def test_functions_of_several_tensors_of_none_and_of_parts(tmp_path: Path) -> None:
    everything, middle = {"start": None, "stop": None, "step": None}, {"start": 1, "stop": 3, "step": None}
    layers = [
        taken("left", 4),
        taken("right", 4),
        called("math.subtract", ["_CONSTANT_VALUE", -1, 1.0, {"y": ["left", 0, 0], "name": None}]),
        called("__operators__.add", ["tf.math.subtract", 0, 0, {"y": ["right", 0, 0], "name": None}]),
        called("concat", ["tf.__operators__.add", 0, 0, {"axis": -1}], ["left", 0, 0, {"axis": -1}]),
        called("reshape", ["tf.concat", 0, 0, {"shape": [-1, 2, 4]}]),
        called("compat.v1.transpose", ["tf.reshape", 0, 0, {"perm": [0, 2, 1], "name": "t", "conjugate": False}]),
        called(
            "__operators__.getitem",
            ["tf.compat.v1.transpose", 0, 0, {"slice_spec": [everything, middle]}],
            kind="SlicingOpLambda",
        ),
        node("Flatten", "flat", "tf.__operators__.getitem"),
        dense("out", "flat"),
    ]
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    both = keras.ops.concatenate([1.0 - left + right, left], -1)
    parts = keras.ops.transpose(keras.ops.reshape(both, (-1, 2, 4)), (0, 2, 1))[:, 1:3]
    out = L.Dense(2, name="out")(L.Flatten()(parts))
    old = functional("m", layers, ["left", "right"], [["out", 0, 0]])
    assert_loads(tmp_path, old, lively(keras.Model([left, right], out)))


@pytest.mark.parametrize("function", ["io.write_file", "raw_ops.WriteFile", "py_function", "math._x", "nn.__init__"])
def test_functions_that_do_more_than_compute_are_refused(tmp_path: Path, function: str) -> None:
    layers = [taken("row", 4), called(function, ["row", 0, 0, {}]), dense("out", f"tf.{function}")]
    model = keras.Sequential([keras.Input((4,)), L.Dense(2, name="out")])
    with pytest.raises(BuildError, match=rf"calls tf.{function}, which is not taken"):
        assert_loads(tmp_path, functional("m", layers, ["row"], [["out", 0, 0]]), model)


def test_a_function_that_there_is_not(tmp_path: Path) -> None:
    layers = [taken("row", 4), called("math.nothing", ["row", 0, 0, {}]), dense("out", "tf.math.nothing")]
    model = keras.Sequential([keras.Input((4,)), L.Dense(2, name="out")])
    with pytest.raises(BuildError, match=r"calls tf.math.nothing, which TensorFlow \S+ does not have"):
        assert_loads(tmp_path, functional("m", layers, ["row"], [["out", 0, 0]]), model)
