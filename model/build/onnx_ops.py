"""Operations of TensorFlow that tf2onnx does not know, or of whole numbers otherwise than TensorFlow means them."""

from __future__ import annotations

from typing import Any

import numpy as np
from tf2onnx import utils
from tf2onnx.constants import ONNX_DOMAIN
from tf2onnx.handler import tf_op
from tf2onnx.onnx_opset import math


def register(opset: int) -> None:
    """Let tf2onnx know them from this version of ONNX' operations on."""
    handlers = {"Erfc": _erfc, "Expm1": _expm1, "Log1p": _log1p, "FloorDiv": _floor_div, "FloorMod": _floor_mod}
    for name, handler in handlers.items():
        tf_op.register_handler(handler, opset, [name], ONNX_DOMAIN, {})


def _erfc(graph: Any, node: Any, **_: Any) -> None:
    """1 - erf(x), of which GELU is made."""
    erf = graph.make_node("Erf", [node.input[0]]).output[0]
    _replace(graph, node, "Sub", [_one(graph, node), erf])


def _expm1(graph: Any, node: Any, **_: Any) -> None:
    """exp(x) - 1."""
    power = graph.make_node("Exp", [node.input[0]]).output[0]
    _replace(graph, node, "Sub", [power, _one(graph, node)])


def _log1p(graph: Any, node: Any, **_: Any) -> None:
    """log(1 + x)."""
    total = graph.make_node("Add", [_one(graph, node), node.input[0]]).output[0]
    _replace(graph, node, "Log", [total])


def _floor_div(graph: Any, node: Any, **others: Any) -> None:
    """(x - x mod y) / y: ONNX rounds the quotient of whole numbers towards zero."""
    if not _of_whole_numbers(graph, node):
        math.FloorDiv.version_6(graph, node, **others)
        return
    left, right = node.input
    rest = graph.make_node("Mod", [left, right]).output[0]
    multiple = graph.make_node("Sub", [left, rest]).output[0]
    _replace(graph, node, "Div", [multiple, right])


def _floor_mod(graph: Any, node: Any, **others: Any) -> None:
    """ONNX' Mod of whole numbers has the sign of the divisor, as TensorFlow's."""
    if not _of_whole_numbers(graph, node):
        math.FloorMod.version_7(graph, node, **others)
        return
    _replace(graph, node, "Mod", list(node.input))


def _of_whole_numbers(graph: Any, node: Any) -> bool:
    return np.dtype(_dtype(graph, node)).kind in "iu"


def _one(graph: Any, node: Any) -> str:
    name: str = graph.make_const(utils.make_name("one"), np.array(1, _dtype(graph, node))).output[0]
    return name


def _dtype(graph: Any, node: Any) -> Any:
    return utils.map_onnx_to_numpy_type(graph.get_dtype(node.input[0]))


def _replace(graph: Any, node: Any, kind: str, inputs: list[str]) -> None:
    """Put another operation in its place, with the same output."""
    shapes, dtypes = node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    graph.make_node(kind, inputs, name=node.name, outputs=node.output, shapes=shapes, dtypes=dtypes)
