"""How many multiply-adds one instance takes."""

from __future__ import annotations

import math
from typing import Any

from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from .source import Source


def multiply_adds(source: Source) -> int | None:
    """Of convolutions and matrix products, which are nearly all; None where a shape is not known beforehand.

    What a loop repeats (some recurrent layers) counts once.
    """
    try:
        graph = convert_variables_to_constants_v2(source.function(batch=1).get_concrete_function()).graph
        return sum(map(_of, graph.get_operations()))
    except (TypeError, ValueError):  # a dimension is None
        return None


def _of(operation: Any) -> int:
    kind = operation.type
    if kind in ("Conv2D", "Conv3D", "DepthwiseConv2dNative"):
        kernel = operation.inputs[1].shape
        per_output = math.prod(kernel[:-2]) if kind.startswith("Depthwise") else math.prod(kernel[:-1])
        return math.prod(operation.outputs[0].shape) * per_output
    if kind == "Conv2DBackpropInput":
        return math.prod(operation.inputs[2].shape) * math.prod(operation.inputs[1].shape[:3])
    if kind in ("MatMul", "BatchMatMulV2"):
        turned = operation.get_attr("transpose_a" if kind == "MatMul" else "adj_x")
        shared = operation.inputs[0].shape[-2 if turned else -1]
        return math.prod(operation.outputs[0].shape) * shared
    if kind == "Einsum":
        terms = operation.get_attr("equation").decode().partition("->")[0].split(",")
        sizes = {letter: size for term, tensor in zip(terms, operation.inputs, strict=True)
                 for letter, size in zip(term, tensor.shape, strict=True)}  # fmt: skip
        return math.prod(sizes.values())
    return 0
