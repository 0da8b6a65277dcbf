"""SavedModel -> .onnx. A process of its own: `python -m model.build.export_onnx GRAPH FILE`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import onnx
import tf2onnx

from . import graphs, indices

OPSET = 18  # ONNX Runtime reads it since 1.14 of 2023


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("graph", type=Path, help="SavedModel of one function, input_0, ... to output_0, ...")
    parser.add_argument("file", type=Path, help="to write")
    options = parser.parse_args()
    loaded = graphs.read(options.graph)  # holds the weights for as long as the function is used
    function = graphs.wrapped(loaded)
    model, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    indices.refuse_negative(model.graph)
    onnx.save(model, options.file)


if __name__ == "__main__":
    main()
