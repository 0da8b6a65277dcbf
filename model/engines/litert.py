"""LiteRT (formerly TensorFlow Lite) with XNNPACK: the default engine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


class LiteRT:
    """One interpreter. It takes one instance at a time: XNNPACK gains nothing from batches on one thread."""

    def __init__(self, interpreter: Interpreter) -> None:
        interpreter.allocate_tensors()
        self._interpreter = interpreter
        self._inputs = _in_order(interpreter, "inputs")
        self._outputs = _in_order(interpreter, "outputs")
        self._lock = threading.Lock()  # an interpreter holds its tensors and is not reentrant

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """See Engine."""
        with self._lock:
            answers = [self._one(inputs, row) for row in range(len(inputs[0]))]
        if len(answers) == 1:
            return answers[0]
        return tuple(np.concatenate(parts) for parts in zip(*answers, strict=True))

    def _one(self, inputs: Sequence[np.ndarray], row: int) -> tuple[np.ndarray, ...]:
        for tensor, values in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(tensor, values[row : row + 1])
        self._interpreter.invoke()
        return tuple(self._interpreter.get_tensor(tensor) for tensor in self._outputs)


def _in_order(interpreter: Interpreter, which: str) -> list[int]:
    """The tensors of the one signature; its names end in their place among the bundle's inputs or outputs."""
    (signature,) = interpreter._get_full_signature_list().values()
    tensors: dict[str, int] = signature[which]
    return [tensors[name] for name in sorted(tensors, key=lambda name: int(name.rpartition("_")[2]))]


def load(file: Path) -> LiteRT:
    """Load a .tflite file on one thread: workers, not threads, use the cores.

    It is read into memory: a file that is mapped and then written over ends the process with SIGBUS.
    """
    return LiteRT(Interpreter(model_content=file.read_bytes(), num_threads=1))
