"""How layers are connected: from Keras 2's way of writing it to Keras 3's.

Then a call was a list of [layer, number of that one's call, number of the output, keyword arguments], one for each
tensor. Now it is {"args", "kwargs"} with tensors in any place, as attention and initial states need it. See
`Node.serialize` of Keras 2.15 (keras/src/engine/node.py) and `deserialize_node` of Keras 3 (src/models/functional.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_MODELS = ("Functional", "Sequential", "Model")
_RECURRENT = (
    *("LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU", "SimpleRNN", "RNN", "Bidirectional"),
    *("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
)
FUNCTIONS = ("TFOpLambda", "SlicingOpLambda")
_CONSTANT = "_CONSTANT_VALUE"  # in the place of a layer: what follows is no tensor
_CONSTANT_CALL = -1


def renew(config: dict[str, Any]) -> None:
    """Rewrite the connections of a functional model, in place; those of models within it are not looked into.

    config: has "layers", "input_layers" and "output_layers". A model may have counted its own making as call 0, so that
    its first call is 1, or not. Every call that is written down is referred to by some layer or output, so the smallest
    number that a model is referred to by says where its counting began.
    """
    kinds = {entry["name"]: entry["class_name"] for entry in config["layers"] if "name" in entry}
    ends = [end for key in ("input_layers", "output_layers") for end in _leaves(config[key], kinds)]
    nodes = [node for entry in config["layers"] for node in entry.get("inbound_nodes", ())]
    first: dict[str, int] = {}
    for name, call, *_ in [*ends, *_leaves(nodes, kinds)]:
        first[name] = min(call, first.get(name, call))
    shift = {name: call for name, call in first.items() if kinds[name] in _MODELS}
    for entry in config["layers"]:
        kind = entry["class_name"]
        entry["inbound_nodes"] = [_renewed(node, kind, kinds, shift) for node in entry.get("inbound_nodes", ())]
        if kind in FUNCTIONS:
            for node in entry["inbound_nodes"]:  # there is one
                _keep_constants(entry["config"], node)
    for end in ends:
        # Keras 3 counts the making of functional models there, and there alone.
        end[1] -= shift.get(end[0], 0) - (kinds[end[0]] != "Sequential" and end[0] in shift)


def _renewed(node: Any, kind: str, kinds: dict[str, str], shift: dict[str, int]) -> Any:
    if isinstance(node, dict) and "args" in node:
        return node
    named: dict[str, Any] = {}

    def tensors(given: Any) -> Any:
        if _is_leaf(given, kinds):
            if len(given) > 3:
                named.update(given[3])
            return given[2] if given[0] == _CONSTANT else _tensor(given, shift)
        if isinstance(given, dict):
            return {key: tensors(value) for key, value in given.items()}
        if isinstance(given, list):
            return [tensors(value) for value in given]
        return given

    args = tensors(node)
    if isinstance(args, list) and len(args) == 1:
        args = args[0]
    kwargs = {key: tensors(value) for key, value in list(named.items()) if not (key == "mask" and value is None)}
    if kind in _RECURRENT and isinstance(args, list):
        args, kwargs["initial_state"] = args[0], args[1:]
    return {"args": [args], "kwargs": kwargs}


def _keep_constants(config: dict[str, Any], node: dict[str, Any]) -> None:
    """Make the arguments of a function that are no tensors the layer's own: a call of Keras 3 takes tensors alone."""
    constants = {name: value for name, value in node["kwargs"].items() if not _has_tensor(value)}
    node["kwargs"] = {name: value for name, value in node["kwargs"].items() if name not in constants}
    first = [] if _has_tensor(node["args"]) else node["args"]
    node["args"] = [] if first else node["args"]
    config |= {"first": first, "constants": constants}


def _tensor(leaf: list[Any], shift: dict[str, int]) -> dict[str, Any]:
    """One output of one call. Keras asks for its history alone."""
    name, call, output = leaf[:3]
    history = [name, call - shift.get(name, 0), output]
    return {"class_name": "__keras_tensor__", "config": {"shape": [], "dtype": "float32", "keras_history": history}}


def _has_tensor(value: Any) -> bool:
    return '"__keras_tensor__"' in json.dumps(value)


def _is_leaf(value: Any, kinds: dict[str, str]) -> bool:
    if not (isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str)):
        return False
    if value[0] == _CONSTANT:
        return bool(value[1] == _CONSTANT_CALL)
    return value[0] in kinds and isinstance(value[1], int) and isinstance(value[2], int)


def _leaves(value: Any, kinds: dict[str, str]) -> Iterator[list[Any]]:
    """Every [layer, call, output, ...], also among keyword arguments."""
    if _is_leaf(value, kinds):
        if value[0] != _CONSTANT:
            yield value
        value = list(value[3:])
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _leaves(inner, kinds)
