"""Variables of TensorFlow 1, which its graphs refer to by name; what is saved of such a graph today leaves them out."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_KINDS = ("Variable", "VariableV2")


def replaced(loaded: Any, function: Any) -> tuple[Any, list[tf.Variable]]:
    """(the function with variables of today in their places, and these; or the function itself where it has none).

    loaded: a SavedModel. function: one of its signatures. Raises what TensorFlow raises for a graph that changes them.
    """
    old = [operation for operation in function.graph.get_operations() if operation.type in _KINDS]
    if not old:
        return function, []
    values = _values(loaded, [operation.name for operation in old])
    new = {name: tf.Variable(value, trainable=False) for name, value in values.items()}
    graph = _without(function.graph.as_graph_def(), {*new, *(tensor.op.name for tensor in function.inputs)})
    used = {name if ":" in name else f"{name}:0" for node in graph.node for name in node.input}
    inputs, outputs = sorted(function.structured_input_signature[1]), sorted(function.structured_outputs)

    @tf.function
    def call(**named: tf.Tensor) -> dict[str, tf.Tensor]:
        given = [*(named[name] for name in inputs), *function.captured_inputs]
        places = {tensor.name: value for tensor, value in zip(function.inputs, given, strict=True)}
        places |= {f"{name}:0": variable.read_value() for name, variable in new.items()}
        made = [tensor.name for tensor in function.outputs if tensor.name not in places]
        fed = {name: value for name, value in places.items() if name in used}
        places |= dict(zip(made, tf.graph_util.import_graph_def(graph, fed, made, name=""), strict=True))
        return {name: places[tensor.name] for name, tensor in zip(outputs, function.outputs, strict=True)}

    call.get_concrete_function(**function.structured_input_signature[1])
    return call, list(new.values())


def _values(loaded: Any, names: list[str]) -> dict[str, tf.Tensor]:
    with loaded.graph.as_default():
        reads = [tf.identity(loaded.graph.get_tensor_by_name(f"{name}:0")) for name in names]
    return dict(zip(names, loaded.prune([], reads)(), strict=True))


def _without(graph: Any, names: set[str]) -> Any:
    """The graph without these nodes, whose tensors come from elsewhere."""
    nodes = [node for node in graph.node if node.name not in names]
    for node in nodes:
        node.attr.pop("_class", None)  # which says beside which node it is
    return tf.compat.v1.GraphDef(node=nodes, library=graph.library, versions=graph.versions)
