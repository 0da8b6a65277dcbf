"""Files as Keras 2 wrote them: its names, its attributes, its way to connect layers, and its text as bytes."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

VARIANCE_SCALING = {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None}
TRAINED = {
    "kernel_initializer": {"class_name": "VarianceScaling", "config": VARIANCE_SCALING},
    "bias_initializer": {"class_name": "Zeros", "config": {}},
    "kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.01}},
    "bias_regularizer": None,
    "activity_regularizer": None,
    "kernel_constraint": None,
    "bias_constraint": None,
    "use_bias": True,
}
Layers = list[dict[str, Any]]
Weights = dict[str, list[tuple[str, np.ndarray]]]


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


def node(kind: str, name: str, *calls: Any, **config: Any) -> dict[str, Any]:
    """A layer of a functional model. calls: of it, each a list of [layer before it, number of that one's call, number
    of the output, keyword arguments]; or else the names of the layers before it, for one call.
    """
    if calls and all(isinstance(call, str) for call in calls):
        calls = ([[before, 0, 0, {}] for before in calls],)
    return {**layer(kind, name, **config), "name": name, "inbound_nodes": list(calls)}


def taken(name: str, *shape: int | None, dtype: str = "float32") -> dict[str, Any]:
    """An input layer."""
    return node("InputLayer", name, batch_input_shape=[None, *shape], dtype=dtype, sparse=False, ragged=False)


def functional(name: str, layers: Layers, inputs: list[str], outputs: list[Any]) -> dict[str, Any]:
    """A functional model. outputs: [layer, number of its call, number of the output]."""
    ends = {"input_layers": [[entry, 0, 0] for entry in inputs], "output_layers": outputs}
    return {"class_name": "Functional", "config": {"name": name, "trainable": True, "layers": layers, **ends}}


def within(model: dict[str, Any], *calls: Any) -> dict[str, Any]:
    """A model as a layer of a functional one. calls: see node."""
    return {**model, "name": model["config"]["name"], "inbound_nodes": list(calls)}


def cats_and_dogs() -> Layers:
    """A Sequential as tutorials of 2017 had it, 20 pixels wide, with a sigmoid for each of two labels."""
    return [
        layer(
            "Conv2D",
            "conv2d_1",
            batch_input_shape=[None, 20, 20, 3],
            dtype="float32",
            filters=4,
            kernel_size=[3, 3],
            strides=[1, 1],
            padding="valid",
            data_format="channels_last",
            dilation_rate=[1, 1],
            activation="linear",
            **TRAINED,
        ),
        layer("Activation", "activation_1", activation="relu"),
        layer(
            "MaxPooling2D",
            "max_pooling2d_1",
            pool_size=[2, 2],
            strides=[2, 2],
            padding="valid",
            data_format="channels_last",
        ),
        layer("Flatten", "flatten_1"),
        layer("Dense", "dense_1", units=8, activation="linear", **TRAINED),
        layer("Activation", "activation_2", activation="relu"),
        layer("Dropout", "dropout_1", rate=0.5),
        layer("Dense", "dense_2", units=2, activation="linear", **TRAINED),
        layer("Activation", "activation_3", activation="sigmoid"),
    ]


def cats_and_dogs_weights() -> Weights:
    rng = np.random.default_rng(3)
    shapes = {"conv2d_1": (3, 3, 3, 4), "dense_1": (324, 8), "dense_2": (8, 2)}
    return {
        name: [
            (f"{name}/kernel:0", rng.normal(0, 0.3, shape).astype(np.float32)),
            (f"{name}/bias:0", rng.normal(0, 0.3, shape[-1:]).astype(np.float32)),
        ]
        for name, shape in shapes.items()
    }


def architecture(layers: Layers) -> str:
    """model.to_json()"""
    return json.dumps({"class_name": "Sequential", "config": layers, "keras_version": "2.0.4", "backend": "tensorflow"})


def save_weights(file: Path, layers: Layers, weights: Weights, backend: bytes = b"tensorflow") -> Path:
    """model.save_weights()"""
    with h5py.File(file, "w") as content:
        _write(content, layers, weights, backend)
    return file


def save(file: Path, layers: Layers, weights: Weights) -> Path:
    """model.save() of a Sequential, compiled with a loss of the user's own"""
    return save_model(file, {"class_name": "Sequential", "config": layers}, weights, layers)


def save_model(file: Path, model: dict[str, Any], weights: Weights, layers: Layers | None = None) -> Path:
    """model.save() of any model"""
    training = {"optimizer_config": {"class_name": "Adam", "config": {"lr": 0.001}}, "loss": "our_own_loss"}
    with h5py.File(file, "w") as content:
        content.attrs["keras_version"] = b"2.0.4"
        content.attrs["backend"] = b"tensorflow"
        content.attrs["model_config"] = json.dumps(model).encode()
        content.attrs["training_config"] = json.dumps(training).encode()
        _write(content.create_group("model_weights"), layers or model["config"]["layers"], weights, b"tensorflow")
    return file


def save_archive(file: Path, model: dict[str, Any], weights: Weights) -> Path:
    """model.save() as a .keras file, since 2.12. weights: of the layers within models, too."""
    wrapped = {"module": "keras.src.engine.functional", "registered_name": "Functional", "build_config": {}}
    stored = io.BytesIO()
    with h5py.File(stored, "w") as content:
        _write_by_class(content, model["config"]["layers"], weights)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0", "date_saved": "2023-11-07@12:00:00"}))
        archive.writestr("config.json", json.dumps({**model, **wrapped}))
        archive.writestr("model.weights.h5", stored.getvalue())
    return file


def _write_by_class(group: Any, layers: Layers, weights: Weights) -> None:
    """Each layer below the name of its class, and a number where it is not the first."""
    names: list[str] = []
    for entry in layers:
        words = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", entry["class_name"])
        names.append(re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower())
        count = names.count(names[-1]) - 1
        part = group.create_group(f"layers/{names[-1]}_{count}" if count else f"layers/{names[-1]}")
        values = part.create_group("vars")
        for number, (_, value) in enumerate(weights.get(entry["config"]["name"], [])):
            values[str(number)] = value
        if "layers" in entry["config"]:
            _write_by_class(part, entry["config"]["layers"], weights)


def _write(group: Any, layers: Layers, weights: Weights, backend: bytes) -> None:
    names = [entry["config"]["name"] for entry in layers]
    group.attrs["layer_names"] = [name.encode() for name in names]
    group.attrs["backend"] = backend
    group.attrs["keras_version"] = b"2.0.4"
    for name in names:
        part = group.create_group(name)
        part.attrs["weight_names"] = [path.encode() for path, _ in weights.get(name, [])]
        for path, values in weights.get(name, []):
            part.create_dataset(path, data=values)
