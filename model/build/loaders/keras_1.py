"""What Keras 1 alone had: its names of layers and arguments, orders of axes that it kept to itself, and its arrays."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ..errors import BuildError
from .contents import walk

# Layers whose order of axes Keras 1 did not write down, though they had one.
_SILENT = ("Cropping2D", "Cropping3D", "UpSampling2D", "UpSampling3D", "ZeroPadding2D", "ZeroPadding3D")
_ORDERS = ("tf", "th")
# Layers that another does the work of, and arguments by their layer and name; the rest old_config knows.
_CLASSES = {"TimeDistributedDense": "Dense", "AtrousConvolution1D": "Convolution1D"}
_ARGUMENTS = {
    **{(f"{kind}Dropout", "p"): "rate" for kind in ("", "Gaussian")},
    **{(f"SpatialDropout{axes}D", "p"): "rate" for axes in (1, 2, 3)},
    ("GaussianNoise", "sigma"): "stddev",
    ("UpSampling1D", "length"): "size",
}
_DIMENSIONS = ("kernel_dim1", "kernel_dim2", "kernel_dim3")
_SIDES = {
    "ZeroPadding1D": ("left_pad", "right_pad"),
    "ZeroPadding2D": ("top_pad", "bottom_pad", "left_pad", "right_pad"),
}
# Where the arrays of each gate were, in the order in which Keras 3 joins them: a kernel, a recurrent kernel and a bias.
# LSTM's gates were input, new state, forget, output.
_GATES = {"LSTMCell": (0, 2, 1, 3), "ConvLSTMCell": (0, 2, 1, 3), "GRUCell": (0, 1, 2)}
_FILTERS_FIRST = {4: (2, 3, 1, 0), 5: (2, 3, 4, 1, 0)}  # (filters, channels, rows, columns) -> (rows, columns, ...)
_ARRAYS = ("kernel", "depthwise_kernel", "pointwise_kernel", "alpha")
_ARRANGED = ("Conv1D", "Conv2D", "Conv3D", "SeparableConv2D", "PReLU", *_GATES)


def renewed(config: dict[str, Any]) -> dict[str, Any]:
    """A copy of a configuration in the words of Keras 2, as far as old_config does not know those of Keras 1.

    Raises BuildError where it does not say the order of axes; see _give_orders.
    """
    config = copy.deepcopy(config)
    entries = [entry for entry in walk(config) if isinstance(entry.get("config"), dict)]
    _give_orders(entries)
    for entry in entries:
        _rename(entry)
    return config


def _rename(entry: dict[str, Any]) -> None:
    kind = entry["class_name"] = _CLASSES.get(entry["class_name"], entry["class_name"])
    config = entry["config"]
    for was in [name for name in config if (kind, name) in _ARGUMENTS]:
        config[_ARGUMENTS[kind, was]] = config.pop(was)
    if all(name in config for name in _DIMENSIONS):
        config["kernel_size"] = [config.pop(name) for name in _DIMENSIONS]
    if kind == "Embedding":
        config.pop("dropout", None)  # of training alone
    if kind in _SIDES and "padding" in config:
        config["padding"] = _padding(config["padding"], _SIDES[kind])


def _padding(given: Any, sides: tuple[str, ...]) -> Any:
    """given: a number, one for each axis, one for each side, or sides by name; those left out have none."""
    if isinstance(given, dict):
        given = [given.get(side, 0) for side in sides]
    if isinstance(given, list) and len(given) == 4:
        return [given[:2], given[2:]]
    return given


def _give_orders(entries: list[dict[str, Any]]) -> None:
    """Let all layers that have an order of axes say it: that of all others.

    Raises BuildError where the others do not agree, or there are none.
    """
    orders = {entry["config"].get("dim_ordering") for entry in entries} & set(_ORDERS)
    silent = [
        entry["config"]
        for entry in entries
        if entry["class_name"] in _SILENT and entry["config"].get("dim_ordering") not in _ORDERS
    ]
    if silent and len(orders) != 1:
        named = ", ".join(repr(entry.get("name")) for entry in silent)
        raise BuildError(
            f"Keras 1 did not write down whether channels come first or last in {named}, and no other layers tell. "
            'Give the architecture as a .json, as model.to_json() writes it, with "dim_ordering": "th" (first) or "tf" '
            '(last) in the "config" of each, and the weights with --weights.'
        )
    for entry in silent:
        (entry["dim_ordering"],) = orders


def arranged(layer: keras.layers.Layer, variables: Sequence[Any], values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A layer's weights in today's layouts.

    variables: the layer's own and those of layers that it wraps or holds. values: theirs in the file, in that order.
    """
    parts = {
        id(getattr(part, name)): part
        for part in layer._flatten_layers()
        if type(part).__name__ in _ARRANGED
        for name in _ARRAYS
        if hasattr(part, name)
    }
    found: list[np.ndarray] = []
    rest = list(values)
    while rest and len(found) < len(variables):
        variable = variables[len(found)]
        part = parts.get(id(variable))
        gates = _GATES.get(type(part).__name__, ())
        if gates and rest[0].shape != tuple(variable.shape):  # with consume_less="gpu" they were joined then, too
            separate, rest = rest[: 3 * len(gates)], rest[3 * len(gates) :]
            found += _joined([_arranged(part, value) for value in separate], gates)
        else:
            value, *rest = rest
            found.append(value if part is None else _arranged(part, value))
    return found + rest


def _joined(separate: list[np.ndarray], gates: Sequence[int]) -> list[np.ndarray]:
    """The kernel, the recurrent kernel and the bias of all gates."""
    if len(separate) != 3 * len(gates):
        return separate
    return [np.concatenate([separate[3 * gate + which] for gate in gates], axis=-1) for which in range(3)]


def _arranged(layer: Any, value: np.ndarray) -> np.ndarray:
    """As Keras 3 has it: kernels with the filters last."""
    kind = type(layer).__name__
    if kind == "PReLU":  # without the axes that shared a slope, which the file does not name
        whole = tuple(layer.alpha.shape)
        fits = len(whole) == value.ndim and all(
            size in (1, most) for size, most in zip(value.shape, whole, strict=True)
        )
        return np.broadcast_to(value, whole) if fits else value
    if value.ndim not in _FILTERS_FIRST:
        return value
    if kind == "Conv1D":  # (length, 1, channels, filters), or (filters, channels, length, 1)
        old = value.shape[1] != 1 or value.shape[3] != layer.filters
        return (value.transpose(2, 3, 1, 0) if old else value)[:, 0]
    return value.transpose(_FILTERS_FIRST[value.ndim]) if layer.data_format == "channels_first" else value
