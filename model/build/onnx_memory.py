"""What tf2onnx takes of memory: each of its two dozen runs of an optimiser held the weights once or twice more."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from tf2onnx import constants
from tf2onnx.graph import Node

Made = TypeVar("Made")


@contextlib.contextmanager
def spared() -> Iterator[None]:
    """Write a constant once, and again when it has changed.

    tf2onnx writes all nodes anew after each optimiser, and protobuf keeps what a message held before until all of it
    goes: 100 MB of weights took 4.3 GB.
    """
    write = Node.update_proto
    written: WeakKeyDictionary[Node, Any] = WeakKeyDictionary()

    def write_changed(node: Node, external_tensor_storage: Any = None) -> None:
        value = node.attr.get("value") if node.is_const() else None
        if value is None or written.get(node) is not value:
            write(node, external_tensor_storage)
            written[node] = value

    Node.update_proto = write_changed
    try:
        yield
    finally:
        Node.update_proto = write


def without_copies(convert: Callable[[], Made]) -> Made:
    """Convert without a copy of the graph before each optimiser, to which tf2onnx goes back where one fails; with
    them where it then fails, or would anyway."""
    os.environ[constants.ENV_TF2ONNX_CATCH_ERRORS] = "FALSE"
    try:
        return convert()
    except Exception:
        del os.environ[constants.ENV_TF2ONNX_CATCH_ERRORS]
        return convert()
