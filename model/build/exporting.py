"""The compiled files, each made in a process of its own from the SavedModel of the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import child

TIMEOUT = 1800.0  # seconds; the largest models of keras.applications take about five minutes


@dataclass(frozen=True)
class Exporter:
    """How one candidate is made. arguments: Python's, to which the graph's folder and the file to write are added.

    samples: whether it is also given the inputs to calibrate on.
    """

    arguments: tuple[str, ...]
    file: str
    samples: bool = False


_LITERT = ("-m", "model.build.export_litert")

EXPORTERS: Mapping[str, Exporter] = {
    "litert": Exporter(_LITERT, "model.tflite"),
    "onnx": Exporter(("-m", "model.build.export_onnx"), "model.onnx"),
}
QUANTIZED: Mapping[str, Exporter] = {
    "int8": Exporter((*_LITERT, "--int8"), "model.int8.tflite", samples=True),
    "float16": Exporter((*_LITERT, "--float16"), "model.float16.tflite"),
}


def export(exporter: Exporter, graph: Path, samples: Path, folder: Path) -> Path:
    """Make the file in `folder`. Raises child.ChildFailed with the reason; what was half written is gone."""
    file = folder / exporter.file
    try:
        child.run([*exporter.arguments, str(graph), str(file), *([str(samples)] if exporter.samples else [])], TIMEOUT)
        if not file.is_file() or file.stat().st_size == 0:
            raise child.ChildFailed("wrote no file")
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return file
