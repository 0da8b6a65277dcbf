"""SavedModel -> .onnx. A process of its own: `python -m model.build.export_onnx GRAPH FILE`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np
import onnx
import tf2onnx
from onnx import numpy_helper

from . import graphs, indices, onnx_memory, onnx_ops

OPSET = 18  # ONNX Runtime reads it since 1.14 of 2023


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("graph", type=Path, help="SavedModel of one function, input_0, ... to output_0, ...")
    parser.add_argument("file", type=Path, help="to write")
    options = parser.parse_args()
    onnx_ops.register(OPSET)
    loaded = graphs.read(options.graph)  # holds the weights for as long as the function is used
    function = graphs.wrapped(loaded)
    with onnx_memory.spared():
        model = onnx_memory.without_copies(lambda: _converted(function))
    fix_captured(model.graph, function.get_concrete_function())
    indices.refuse_negative(model.graph)
    onnx.save(model, options.file)


def _converted(function: Any) -> onnx.ModelProto:
    model, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    return model


def fix_captured(graph: onnx.GraphProto, function: Any) -> None:
    """Let what the function holds beside its variables be constants; tf2onnx makes inputs of them."""
    captures = function.graph.captures
    captured = {inner.name: outer for outer, inner in captures if outer.dtype.is_numpy_compatible}
    for entry in [entry for entry in graph.input if entry.name in captured]:
        values = np.asarray(captured[entry.name])
        text = values.dtype.kind in "OS"
        graph.initializer.append(numpy_helper.from_array(values.astype(object) if text else values, entry.name))
        graph.input.remove(entry)


if __name__ == "__main__":
    main()
