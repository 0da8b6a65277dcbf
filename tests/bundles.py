"""Bundles of real Keras models, small enough to be made while tests run. Their engine is Keras itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model import bundle as bundles
from model import engines
from model.bundle import Bundle, File, Tensor
from model.preprocess import Preprocessing


def make(
    store: Path,
    name: str,
    version: str,
    model: Any,
    *,
    labels: Sequence[str] = (),
    scores: str = "as_is",
    preprocessing: Preprocessing | None = None,
    built: dict[str, Any] | None = None,
) -> Bundle:
    """Put a Keras model into the store as a bundle, with its own answers to two made-up instances."""
    folder = store / name / version
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    inputs = [Tensor(t.name, str(t.dtype), tuple(t.shape)) for t in model.inputs]
    golden = [_made_up(tensor) for tensor in inputs]
    answers = engines.load("keras", folder / "model.keras")(*golden)
    struct = model._outputs_struct
    names = sorted(struct) if isinstance(struct, dict) else model.output_names
    # Of its outputs' dtypes Keras is not always sure: of text it may say that it is integers.
    outputs = [
        Tensor(name, "string" if answer.dtype == object else str(answer.dtype), tuple(output.shape))
        for name, answer, output in zip(names, answers, model.outputs, strict=True)
    ]
    recorded = [answer.astype("S") if answer.dtype == object else answer for answer in answers]
    named = {f"input_{i}": values for i, values in enumerate(golden)}
    np.savez(folder / "golden.npz", **named, **{f"output_{i}": values for i, values in enumerate(recorded)})
    bundle = Bundle(
        folder=folder,
        name=name,
        version=version,
        labels=tuple(labels),
        scores=scores,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        preprocessing=preprocessing,
        engines={"keras": File.of(folder / "model.keras")},
        default_engine="keras",
        golden=File.of(folder / "golden.npz"),
        tolerance=1e-3,
        built=built or {},
    )
    bundles.write(bundle)
    return bundle


def _made_up(tensor: Tensor) -> np.ndarray:
    """Two instances; zeros and ones suit every kind of input, indices too."""
    shape = (2, *(3 if size is None else size for size in tensor.shape[1:]))
    values = np.resize([0, 1], shape)
    return values.astype(str) if tensor.dtype == "string" else values.astype(tensor.dtype)


# --- Models ---------------------------------------------------------------------------------------------------------


def dense(seed: int = 0, units: int = 3, activation: str = "linear") -> Any:
    """Two layers: 4 numbers -> `units` numbers."""
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(8, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(units, activation=activation, name="y")(hidden))


def exponential() -> Any:
    """One number -> its exponential, which soon is Infinity, and that less itself, which then is NaN."""
    import keras

    inputs = keras.Input((1,), name="x")
    power = keras.ops.exp(inputs)
    return keras.Model(inputs, {"power": power, "rest": power - power})


def half_plus_two() -> Any:
    """3 numbers -> half of each, and 2: the model of TensorFlow Serving's documentation, and the conformance kit's."""
    import keras

    inputs = keras.Input((3,), name="x")
    return keras.Model(inputs, keras.layers.Rescaling(0.5, 2.0, name="y")(inputs))


def twice_and_sum() -> Any:
    """3 numbers and 2 x 2 integers -> twice each, and the sum of all: the conformance kit's model `two`."""
    import keras

    a = keras.Input((3,), name="a")
    b = keras.Input((2, 2), name="b", dtype="int32")
    both = keras.layers.Concatenate()([a, keras.ops.cast(keras.layers.Flatten()(b), "float32")])
    return keras.Model({"a": a, "b": b}, {"p": 2 * both, "q": keras.ops.sum(both, axis=-1)})


def two_inputs() -> Any:
    """3 numbers and 2 x 2 integers -> two outputs."""
    import keras

    keras.utils.set_random_seed(0)
    a = keras.Input((3,), name="a")
    b = keras.Input((2, 2), name="b", dtype="int32")
    both = keras.layers.Concatenate()([a, keras.ops.cast(keras.layers.Flatten()(b), "float32")])
    outputs = {"p": keras.layers.Dense(2, name="p")(both), "q": keras.ops.sum(both, axis=-1)}
    return keras.Model({"a": a, "b": b}, outputs)


def sequence() -> Any:
    """Any number of indices below 10 -> one number."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((None,), name="tokens", dtype="int32")
    embedded = keras.layers.Embedding(10, 4)(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, name="y")(keras.layers.GlobalAveragePooling1D()(embedded)))


def words() -> Any:
    """A text -> its words, padded to 3, as text."""
    import keras

    inputs = keras.Input((), name="text", dtype="string")
    vocabulary = ["good", "bad", "0", "1"]
    indices = keras.layers.TextVectorization(vocabulary=vocabulary, output_sequence_length=3)(inputs)
    lookup = keras.layers.StringLookup(vocabulary=vocabulary, invert=True, mask_token="", oov_token="?")
    return keras.Model(inputs, lookup(indices))


def moods() -> Any:
    """A list of one text -> scores of two labels, by the words that it has."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((1,), name="text", dtype="string")
    found = keras.layers.TextVectorization(vocabulary=["good", "bad"], output_mode="multi_hot")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax", name="scores")(found))


def echo(dtype: str, shape: tuple[int, ...] = (2,)) -> Any:
    """Values of a dtype -> the same ones. shape: of an instance."""
    import keras

    inputs = keras.Input(shape, name="x", dtype=dtype)
    return keras.Model(inputs, keras.layers.Identity(dtype=dtype)(inputs))


def convolutional(seed: int = 0, *, features: bool = False) -> Any:
    """A picture of 16 x 16 -> scores of two labels and, if asked for, what they were made of."""
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((16, 16, 3), name="image")
    found = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D(name="features")(found)
    scores = keras.layers.Dense(2, activation="softmax", name="scores")(pooled)
    return keras.Model(inputs, [scores, pooled] if features else scores)


def two_shades() -> Any:
    """A picture of 16 x 16, its channels 0 or 1 -> one number. On any photo the engine fails."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3), name="image")
    shades = keras.ops.cast(keras.layers.Flatten()(inputs), "int32")
    embedded = keras.layers.Embedding(2, 4)(shades)
    return keras.Model(inputs, keras.layers.Dense(1, name="y")(keras.layers.GlobalAveragePooling1D()(embedded)))


def half_plus_three(*shape: int) -> Any:
    """x -> x / 2 + 3, of one number or of so many."""
    import keras

    inputs = keras.Input(shape, name="x")
    return keras.Model(inputs, inputs / 2 + 3)


def not_a_number() -> Any:
    """3 numbers -> NaN for each that is between 0 and 1, itself for all else."""
    import keras

    inputs = keras.Input((3,), name="x")
    between = keras.ops.logical_and(inputs > 0, inputs < 1)
    return keras.Model(inputs, keras.ops.where(between, float("nan") * inputs, inputs))


def halves() -> Any:
    """3 numbers and one float16 -> twice the numbers, and the float16: JSON of V2 holds the one and not the other."""
    import keras

    a, b = keras.Input((3,), name="a"), keras.Input((), name="b", dtype="float16")
    return keras.Model([a, b], {"p": 2 * a, "q": keras.layers.Identity(dtype="float16")(b)})


def ties() -> Any:
    """4 numbers -> 1 for each."""
    import keras

    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, inputs * 0 + 1)


def one_at_a_time() -> Any:
    """3 numbers, of one instance and no more -> twice each."""
    import keras

    inputs = keras.Input(batch_shape=(1, 3), name="x")
    return keras.Model(inputs, inputs * 2)


def odd_names() -> Any:
    """A scalar, 2 numbers and 2 x 2 truth values for an instance, and sums of them; names with more than letters."""
    import keras

    number = keras.Input((), name="é|ü%2F", dtype="int32")
    pair = keras.Input((2,), name="a b:c")
    truths = keras.Input((2, 2), name='"', dtype="bool")
    count = keras.ops.sum(keras.ops.cast(truths, "int32"), axis=(1, 2))
    total = keras.ops.sum(pair, axis=-1) + keras.ops.cast(number, "float32")
    return keras.Model([number, pair, truths], {"p q": 2 * pair, "ü%": total, "{model}": count + number})


def text_and_number() -> Any:
    """A text and 2 numbers -> the text's index, and twice the numbers."""
    import keras

    text, pair = keras.Input((), name="text", dtype="string"), keras.Input((2,), name="n")
    index = keras.layers.StringLookup(vocabulary=["0", "1"])(text)
    return keras.Model([text, pair], {"index": keras.ops.cast(index, "int64"), "twice": pair * 2})


def any_size() -> Any:
    """Any number of rows, of any size -> the same, and the sum of the rows."""
    import keras

    inputs = keras.Input((None, None), name="x")
    return keras.Model(inputs, {"same": inputs * 1, "sum": keras.ops.sum(inputs, axis=1)})
