"""Indices in ONNX that TensorFlow would refuse.

ONNX's Gather counts negative indices from the end. TensorFlow refuses them: what Keras means by -1 is in the graph
already, as an addition, and what is negative after that is below the table.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

# What counts from the end, and which of its inputs are indices. Of OneHot's, TensorFlow takes negative ones for none.
INDICES = {"Gather": 1, "GatherND": 1, "GatherElements": 1, "ScatterND": 1, "ScatterElements": 1, "OneHot": 0}
_BEYOND = np.iinfo(np.int64).max  # no table is as long: ONNX Runtime refuses it, and makes it none in OneHot


def refuse_negative(graph: onnx.GraphProto, outer: frozenset[str] = frozenset()) -> None:
    """Let what takes indices in the graph, and in the graphs within it, fail on negative ones that a request leads to.

    outer: values that are the same for all requests, of the graphs around this one.
    """
    fixed = {*outer, *(entry.name for entry in graph.initializer)}
    nodes: list[onnx.NodeProto] = []
    for number, node in enumerate(graph.node):
        for inner in _within(node):
            refuse_negative(inner, frozenset(fixed))
        place = INDICES.get(node.op_type)
        if place is not None and node.input[place] not in fixed:
            nodes += _guard(node, place, f"{graph.name}/refuse_negative_{number}")
        elif fixed.issuperset(filter(None, node.input)) and not any(_within(node)):
            fixed.update(node.output)  # also the -1 that tf2onnx itself makes of groups
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _within(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The bodies of a loop or of a choice."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g


def _guard(node: onnx.NodeProto, place: int, name: str) -> list[onnx.NodeProto]:
    """The nodes to stand before one; it takes its indices, the input at `place`, from the last of them."""
    wide, below, safe = f"{name}/wide", f"{name}/below", f"{name}/safe"
    zero, beyond = f"{name}/zero", f"{name}/beyond"
    guard = [
        _constant(zero, 0),
        _constant(beyond, _BEYOND),
        helper.make_node("Cast", [node.input[place]], [wide], wide, to=onnx.TensorProto.INT64),
        helper.make_node("Less", [wide, zero], [below], below),
        helper.make_node("Where", [below, beyond, wide], [safe], safe),
    ]
    node.input[place] = safe
    return guard


def _constant(name: str, value: int) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], name, value=numpy_helper.from_array(np.array(value, np.int64)))
