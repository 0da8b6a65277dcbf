"""A configuration of Keras 1 or 2 in the words of today's."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

from ..errors import BuildError
from . import old_names, old_nodes, places
from .contents import walk

_CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Deconvolution2D": "Conv2DTranspose",
    "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "CuDNNGRU": "GRU",
    "CuDNNLSTM": "LSTM",
    "Model": "Functional",
    "ThresholdedReLU": "ReLU",
}
# What random layers are when they answer, where Keras 3 has no such layer, or does something else then.
_AT_REST: dict[str, tuple[str, dict[str, Any]]] = {
    "RandomHeight": ("Identity", {}),
    "RandomWidth": ("Identity", {}),
    "RandomCrop": ("Resizing", {"crop_to_aspect_ratio": True}),
}
# Keras 1's names of arguments.
_ARGUMENTS = {
    "nb_filter": "filters",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "filter_length": "kernel_size",
    "atrous_rate": "dilation_rate",
    "dim_ordering": "data_format",
    "bias": "use_bias",
    "inner_activation": "recurrent_activation",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "pool_length": "pool_size",
    "stride": "strides",
    "theta": "threshold",
}
_CHANNELS = {"tf": "channels_last", "th": "channels_first", "default": "channels_last"}
# As old.load knows it: Keras 3's own has another slope.
_HARD_SIGMOID = {"class_name": "function", "config": "old_hard_sigmoid", "registered_name": "old_hard_sigmoid"}
# Training alone needs these; inference does the same with or without.
_TRAINING = ("_regularizer", "_constraint")
# Arguments that Keras 3 does not take. With the value given, or None for any, they change no answer.
_GONE: dict[str, tuple[Any, ...] | None] = {
    "implementation": None,
    "consume_less": None,
    "init": None,
    "inner_init": None,
    "forget_bias_init": None,
    "beta_init": None,
    "gamma_init": None,
    "activity_regularizer": None,
    "input_dim": None,
    "input_length": None,
    "input_dtype": None,
    "time_major": (False,),
    "ragged": (False,),
    "sparse": (False,),
    "experimental_run_tf_function": None,
    "fused": None,
    "renorm": (False,),
    "virtual_batch_size": (None,),
    "mode": (0,),
    "rng_type": None,
    "query_shape": None,
    "key_shape": None,
    "value_shape": None,
    "softmax_robust_masking": (False,),
}
_ONLY = {"sparse": ("InputLayer",), "mode": ("BatchNormalization",)}  # other layers have these today, too
_COMPUTE_WITH_FLOATS = ("Embedding", "Discretization")
_NEEDS_INPUT_DIM = ("Embedding",)
_GROUPED = ("Conv1D", "Conv2D", "Conv3D")
# Where a layer of Keras 3 does not take these, they are of training alone.
_UNTAKEN = ("trainable", "noise_shape")
_UNITS = ("Dense", "LSTM", "GRU", "SimpleRNN")


def upgraded(config: dict[str, Any], file: Path) -> dict[str, Any]:
    """A copy that Keras 3 understands. Raises BuildError naming every layer that it cannot have."""
    config = copy.deepcopy(config)
    problems: list[str] = []
    for entry in walk(config):  # outermost first: what a layer loses, its initializers, is not looked into
        _upgrade(entry, problems)
    if problems:
        raise BuildError(
            f"{file}: " + "; ".join(dict.fromkeys(problems)) + ". Export the graph with the Keras that made the model "
            "(SavedModel), and build that folder."
        )
    return old_names.without_slashes(config)


def has_hard_sigmoid(config: Any) -> bool:
    """Whether a layer of the upgraded configuration has that activation function as Keras 1 and 2 had it."""
    return any(
        value == _HARD_SIGMOID
        for entry in walk(config)
        if isinstance(entry.get("config"), dict)
        for value in entry["config"].values()
    )


def _upgrade(entry: dict[str, Any], problems: list[str]) -> None:
    if entry["class_name"] == "CuDNNGRU" and isinstance(entry.get("config"), dict):
        entry["config"]["reset_after"] = True  # it was the one way there
    entry["class_name"] = _CLASSES.get(entry["class_name"], entry["class_name"])
    config = entry.get("config")
    if entry["class_name"] in _AT_REST and isinstance(config, dict):
        entry["class_name"], more = _AT_REST[entry["class_name"]]
        config |= more
        for key in ("factor", "interpolation", "seed"):
            config.pop(key, None)
    if isinstance(config, dict) and str(entry.get("module")).partition(".")[0] in ("keras", "tf_keras"):
        for key in ("module", "registered_name", "build_config"):  # where Keras 2 had its parts
            entry.pop(key, None)
    if entry["class_name"] == "Sequential" and isinstance(config, list):
        config = entry["config"] = {"name": entry.get("name", "sequential"), "layers": config}
    if not isinstance(config, dict):
        return
    if entry["class_name"] == "TensorFlowOpLayer":
        config["name"] = entry["name"]  # with the beginning that the operation's lacks
    if "layers" not in config:
        _layer(entry["class_name"], config, problems)
    elif entry["class_name"] == "Sequential" and config["layers"]:
        _start_with_input(config["layers"])
    if "output_layers" in config:
        old_nodes.renew(config)
    for key in ("input_layers", "output_layers"):
        if isinstance(config.get(key), list) and len(config[key]) == 1:
            config[key] = config[key][0]  # one tensor, where Keras 3 would make a list of one


def _start_with_input(layers: list[dict[str, Any]]) -> None:
    """The first layer used to say what the input is; now a layer of its own does."""
    first = layers[0].get("config")
    if layers[0].get("class_name") == "InputLayer" or not isinstance(first, dict):
        return
    shape = first.pop("batch_input_shape", None)
    if shape is None and "input_dim" in first and layers[0]["class_name"] != "Embedding":
        shape = [None, first["input_dim"]]
    if shape is None:
        return
    dtype = "int32" if layers[0].get("class_name") == "Embedding" else first.get("dtype", "float32")
    name = f"{first.get('name', 'first')}_input"
    layers.insert(0, {"class_name": "InputLayer", "config": {"batch_shape": shape, "dtype": dtype, "name": name}})


def _layer(kind: str, config: dict[str, Any], problems: list[str]) -> None:
    if "batch_input_shape" in config:
        shape = config.pop("batch_input_shape")
        if kind == "InputLayer":
            config.setdefault("batch_shape", shape)
    if kind in _COMPUTE_WITH_FLOATS and str(config.get("dtype", "")).startswith("int"):
        del config["dtype"]  # the input's or the output's, then; the computation's now
    if kind == "Merge":
        problems.append("the layer 'Merge' of Keras 1 is not taken")
    if kind == "Conv2DTranspose" and "output_shape" in config:
        problems.append(f"the layer {config.get('name')!r}, Deconvolution2D of Keras 1, is not taken")
    for was, now in _ARGUMENTS.items():
        if was in config and now not in config:
            config[now] = config.pop(was)
    if "nb_row" in config:
        config["kernel_size"] = [config.pop("nb_row"), config.pop("nb_col")]
    if kind in _UNITS and "output_dim" in config:
        config["units"] = config.pop("output_dim")
    if config.get("data_format") in _CHANNELS:
        config["data_format"] = _CHANNELS[config["data_format"]]
    if kind == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    if isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        config["axis"] = config["axis"][0]
    if isinstance(config.get("dtype"), dict):
        config["dtype"] = config["dtype"]["config"]["name"]  # a policy's
    if kind.startswith("SeparableConv"):
        config.pop("kernel_initializer", None)
    if kind == "GRU":
        config.setdefault("reset_after", False)  # Keras 3's own default is the other
    if kind.startswith(("Depthwise", "Separable", "Conv")) and kind not in _GROUPED and config.get("groups") == 1:
        del config["groups"]
    for key in [key for key in config if key.endswith(_TRAINING)]:
        del config[key]
    for key in [key for key in config if key.endswith("_initializer") and kind != "Constant"]:
        config[key] = "zeros"  # the weights follow; an initializer of one's own is not needed
    for key in [key for key in config if key.endswith("activation")]:
        if "hard_sigmoid" in _names_of(config[key]):
            config[key] = dict(_HARD_SIGMOID)
    for key, harmless in _GONE.items():
        if (
            key not in config
            or (key == "input_dim" and kind in _NEEDS_INPUT_DIM)
            or kind not in _ONLY.get(key, (kind,))
        ):
            continue
        if harmless is None or config[key] in harmless:
            del config[key]
        else:
            problems.append(f"{kind} with {key}={config[key]!r} is not in Keras 3")
    taken = _arguments(kind)
    for key in [key for key in config if taken and key not in taken]:
        if key in _UNTAKEN or config[key] is None or config[key] is False:  # what is not used, or switched off
            del config[key]


def _arguments(kind: str) -> set[str]:
    """What Keras 3's layer takes; nothing when it has no such layer."""
    taken: set[str] = set()
    found = places.layer_class(kind)
    for parent in found.__mro__ if found else ():
        if "__init__" in vars(parent):
            arguments = inspect.signature(vars(parent)["__init__"]).parameters.values()
            taken |= {argument.name for argument in arguments}
            if not any(argument.kind is argument.VAR_KEYWORD for argument in arguments):
                break
    return taken


def _names_of(function: Any) -> tuple[Any, ...]:
    return (function.get("class_name"), function.get("config")) if isinstance(function, dict) else (function,)
