"""SavedModel -> .tflite. A process of its own: `python -m model.build.export_litert GRAPH FILE`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np
import tensorflow as tf

from . import graphs, unread


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("graph", type=Path, help="SavedModel of one function, input_0, ... to output_0, ...")
    parser.add_argument("file", type=Path, help="to write")
    parser.add_argument("samples", type=Path, nargs="?", help=".npz with input_0, ...: what int8 is calibrated on")
    stored = parser.add_mutually_exclusive_group()
    stored.add_argument("--float16", action="store_true", help="store the weights as float16")
    stored.add_argument("--int8", action="store_true", help="compute with 8 bit integers")
    options = parser.parse_args()
    options.file.write_bytes(convert(options.graph, options.samples, float16=options.float16, int8=options.int8))


def convert(graph: Path, samples: Path | None, *, float16: bool = False, int8: bool = False) -> bytes:
    """The compiled file, at batch 1, which lets the converter compute all shapes beforehand; without pixels unread.

    Where every weight is a float16 number already they are stored as such: half the size, and the same numbers.
    """
    loaded, function = graphs.load(graph, batch=1)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], loaded)
    if int8:
        assert samples is not None  # noqa: S101 - the parent's command line gives it
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _rows(samples)
    elif float16 or _exact_in_float16(function):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return unread.rewritten(converter.convert())


def _exact_in_float16(function: Any) -> bool:
    values = [value.numpy() for value in function.variables if value.dtype == tf.float32]
    with np.errstate(over="ignore"):
        return bool(values) and all(np.array_equal(value, value.astype(np.float16)) for value in values)


def _rows(samples: Path) -> Iterator[dict[str, np.ndarray]]:
    """By name: the order of the graph's inputs is another."""
    with np.load(samples) as saved:
        inputs = {f"input_{number}": saved[f"input_{number}"] for number in range(len(saved.files))}
    for row in range(len(inputs["input_0"])):
        yield {name: values[row : row + 1] for name, values in inputs.items()}


if __name__ == "__main__":
    main()
