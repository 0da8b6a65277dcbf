"""Indices in ONNX that TensorFlow would refuse.

ONNX's Gather counts negative indices from the end. TensorFlow refuses them: what Keras means by -1 is in the graph
already, as an addition, and what is negative after that is below the table.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

GATHERS = ("Gather", "GatherND", "GatherElements")
_BEYOND = np.iinfo(np.int64).max  # no table is as long: ONNX Runtime refuses it


def refuse_negative(graph: onnx.GraphProto) -> None:
    """Let each gather of the graph, and of the graphs within it, fail on negative indices that a request leads to."""
    fixed = {entry.name for entry in graph.initializer}
    fixed |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    nodes: list[onnx.NodeProto] = []
    for number, node in enumerate(graph.node):
        for inner in _within(node):
            refuse_negative(inner)
        if node.op_type in GATHERS and node.input[1] not in fixed:
            nodes += _guard(node, f"{graph.name}/refuse_negative_{number}")
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _within(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The bodies of a loop or of a choice."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g


def _guard(node: onnx.NodeProto, name: str) -> list[onnx.NodeProto]:
    """The nodes to stand before a gather; it takes its indices from the last of them."""
    wide, below, safe = f"{name}/wide", f"{name}/below", f"{name}/safe"
    zero, beyond = f"{name}/zero", f"{name}/beyond"
    guard = [
        _constant(zero, 0),
        _constant(beyond, _BEYOND),
        helper.make_node("Cast", [node.input[1]], [wide], wide, to=onnx.TensorProto.INT64),
        helper.make_node("Less", [wide, zero], [below], below),
        helper.make_node("Where", [below, beyond, wide], [safe], safe),
    ]
    node.input[1] = safe
    return guard


def _constant(name: str, value: int) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], name, value=numpy_helper.from_array(np.array(value, np.int64)))
