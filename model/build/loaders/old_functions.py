"""TensorFlow's functions in a functional model of Keras 2, which kept each call as a layer: x / 127.5, x[1:], ...

The file names the function; it is TensorFlow's own, so that it answers as it did. Only such as compute are taken: a
file must not make the build read or write others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from ..errors import BuildError

_FAMILIES = ("math", "nn", "linalg", "image", "signal")
_FUNCTIONS = frozenset(
    (
        *("boolean_mask", "broadcast_to", "cast", "clip_by_value", "concat", "cumsum", "expand_dims", "fill", "gather"),
        *(
            "gather_nd",
            "identity",
            "norm",
            "one_hot",
            "ones_like",
            "pad",
            "range",
            "rank",
            "repeat",
            "reshape",
            "reverse",
        ),
        *("roll", "shape", "size", "slice", "split", "squeeze", "stack", "stop_gradient", "strided_slice", "tensordot"),
        *("tile", "transpose", "unstack", "where", "zeros_like"),
    )
)
_OLD = "compat.v1."  # what tf.transpose and others called


class TFOpLambda(keras.layers.Layer):
    """One call of a function.

    function: its name below `tf.`. first: its first argument where that is no tensor, else nothing. constants: those
    of its other arguments that are none. Raises BuildError for a function that is not taken.
    """

    def __init__(self, function: str, first: Sequence[Any], constants: dict[str, Any], **common: Any) -> None:
        super().__init__(**common, autocast=False)  # as it was: integers and halves stay what they are
        self._function = functools.partial(_found(function), *first, **constants)

    def call(self, *given: Any, **named: Any) -> Any:
        """The function of these tensors."""
        return self._function(*given, **named)


class SlicingOpLambda(TFOpLambda):
    """A tensor's part."""


def _part(given: Any, slice_spec: Any) -> Any:
    """slice_spec: numbers, {"start", "stop", "step"}, None and ellipses, or one of them alone."""
    return given[tuple(map(_slice, slice_spec)) if isinstance(slice_spec, list | tuple) else _slice(slice_spec)]


def _slice(part: Any) -> Any:
    if isinstance(part, dict):
        if part.get("class_name") == "__ellipsis__":
            return ...
        return slice(part["start"], part["stop"], part["step"])
    return part


def _found(name: str) -> Callable[..., Any]:
    """The function of a name such as math.truediv."""
    plain = name.removeprefix(_OLD)
    family, _, last = plain.rpartition(".")
    if family == "__operators__" and last in _OPERATORS:
        return _OPERATORS[last]
    if not (plain in _FUNCTIONS or (family in _FAMILIES and last.isidentifier() and not last.startswith("_"))):
        raise BuildError(
            f"The model calls tf.{name[:100]}, which is not taken from files of Keras 2. Export its graph with the "
            "Keras that made it (SavedModel), and build that folder."
        )
    place: Any = tf
    for part in name.split("."):
        place = getattr(place, part, None)
    if not callable(place):
        raise BuildError(f"The model calls tf.{name[:100]}, which TensorFlow {tf.__version__} does not have.")
    return place


_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": tf.math.add,
    "eq": tf.math.equal,
    "ne": tf.math.not_equal,
    "getitem": _part,
}
LAYERS = {"TFOpLambda": TFOpLambda, "SlicingOpLambda": SlicingOpLambda}
