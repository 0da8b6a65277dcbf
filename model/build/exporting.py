"""The compiled files, each made in a process of its own from the SavedModel of the source, or from another of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import child

TIMEOUT = 1800.0  # seconds; the largest models of keras.applications take about five minutes


@dataclass(frozen=True)
class Exporter:
    """How one candidate is made. arguments: Python's, to which the graph's folder and the file to write are added.

    samples: whether it is also given the inputs to calibrate on. of: the engine whose file it is given instead of the
    graph; such a program may find that there is nothing to gain, and make none.
    """

    arguments: tuple[str, ...]
    file: str
    samples: bool = False
    of: str = ""


_LITERT = ("-m", "model.build.export_litert")

EXPORTERS: Mapping[str, Exporter] = {
    "litert": Exporter(_LITERT, "model.tflite"),
    "onnx": Exporter(("-m", "model.build.export_onnx"), "model.onnx"),
}
FASTER: Mapping[str, Exporter] = {  # the same numbers in another way
    "litert-winograd": Exporter(("-m", "model.build.winograd"), "model.winograd.tflite", of="litert"),
}
QUANTIZED: Mapping[str, Exporter] = {
    "int8": Exporter((*_LITERT, "--int8"), "model.int8.tflite", samples=True),
    "float16": Exporter((*_LITERT, "--float16"), "model.float16.tflite"),
}


class NothingToGain(Exception):
    """The model has nothing that this exporter would make faster."""


def is_exact(engine: str) -> bool:
    """Whether it holds all bits of the weights, and so may be chosen for its speed alone."""
    return engine.removeprefix("litert-") not in QUANTIZED


def export(exporter: Exporter, graph: Path, samples: Path, folder: Path) -> Path:
    """Make the file in `folder`. Raises child.ChildFailed with the reason, or NothingToGain; what was half written is
    gone."""
    file = folder / exporter.file
    source = folder / EXPORTERS[exporter.of].file if exporter.of else graph
    try:
        child.run([*exporter.arguments, str(source), str(file), *([str(samples)] if exporter.samples else [])], TIMEOUT)
        if exporter.of and not file.exists():
            raise NothingToGain
        if not file.is_file() or file.stat().st_size == 0:
            raise child.ChildFailed("wrote no file")
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return file
