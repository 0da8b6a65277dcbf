"""TensorFlow's operations in a functional model of tf.keras before 2.4, which kept each as a layer: preprocess_input.

The file has the operation as a graph has it, with its attributes, and the constants among its operands. Only such as
compute are taken: a file must not make the build read or write others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from google.protobuf import json_format  # type: ignore[import-untyped]

from ..errors import BuildError

_TAKEN = frozenset(
    (
        *("Add", "AddV2", "AddN", "Sub", "Mul", "Div", "RealDiv", "DivNoNan", "FloorDiv", "FloorMod", "Neg", "Pow"),
        *("Abs", "Sign", "Square", "Sqrt", "Rsqrt", "Reciprocal", "Exp", "Log", "Log1p", "Sin", "Cos", "Erf"),
        *("Floor", "Ceil", "Round", "Maximum", "Minimum", "SquaredDifference", "ClipByValue", "BiasAdd", "Cumsum"),
        *("Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Sigmoid", "Tanh", "Softplus", "Softmax", "LogSoftmax"),
        *("Sum", "Mean", "Prod", "Max", "Min", "All", "Any", "ArgMax", "ArgMin", "MatMul", "BatchMatMulV2", "Einsum"),
        *("Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual"),
        *("LogicalAnd", "LogicalOr", "LogicalNot", "Select", "SelectV2"),
        *("Cast", "Identity", "StopGradient", "Shape", "ZerosLike", "OnesLike", "Fill", "Range", "OneHot"),
        *("StridedSlice", "Slice", "ConcatV2", "Pack", "Unpack", "Split", "SplitV", "GatherV2", "ReverseV2", "Tile"),
        *("Reshape", "ExpandDims", "Squeeze", "Transpose", "BroadcastTo", "Pad", "PadV2", "MirrorPad"),
        *("ResizeBilinear", "ResizeNearestNeighbor"),
    )
)


class TensorFlowOpLayer(keras.layers.Layer):
    """One operation.

    node_def: a NodeDef as JSON, or serialized as text. constants: those of its operands that are no tensors, by their
    places. Raises BuildError for an operation that is not taken.
    """

    def __init__(self, node_def: Any, constants: dict[str, Any] | None = None, **common: Any) -> None:
        super().__init__(**common, autocast=False)  # as it was: integers and halves stay what they are
        self._node = _node(node_def)
        self._constants = {int(place): value for place, value in (constants or {}).items()}

    @tf.function  # a graph is where an operation can be made of its definition
    def call(self, given: Any) -> Any:
        """The operation on these tensors."""
        operands = list(given) if isinstance(given, list | tuple) else [given]
        for place in sorted(self._constants):
            operands.insert(place, self._constants[place])
        tensors = map(tf.convert_to_tensor, operands, _dtypes(self._node))
        named = {f"operand_{place}": tensor for place, tensor in enumerate(tensors)}
        node = tf.compat.v1.NodeDef(name=self._node.op, op=self._node.op, input=named, attr=self._node.attr)
        (made,) = tf.graph_util.import_graph_def(tf.compat.v1.GraphDef(node=[node]), named, [node.name])
        return made.outputs[0] if len(made.outputs) == 1 else made.outputs


def _node(given: Any) -> Any:
    if isinstance(given, dict):
        node = json_format.ParseDict(given, tf.compat.v1.NodeDef())
    else:
        node = tf.compat.v1.NodeDef.FromString(given.encode())
    if node.op not in _TAKEN:
        raise BuildError(
            f"The model calls TensorFlow's operation {node.op[:100]!r}, which is not taken from files of Keras 2. "
            "Export its graph with the Keras that made it (SavedModel), and build that folder."
        )
    return node


def _dtypes(node: Any) -> Iterator[tf.DType]:
    """Of its operands."""
    with tf.Graph().as_default() as graph:
        definition = graph.op_def_for_type(node.op)
    for argument in definition.input_arg:
        dtype = tf.as_dtype(argument.type or node.attr[argument.type_attr].type)
        yield from [dtype] * (node.attr[argument.number_attr].i if argument.number_attr else 1)


LAYERS = {"TensorFlowOpLayer": TensorFlowOpLayer}
