"""LiteRT (formerly TensorFlow Lite) with XNNPACK: the default engine."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


class LiteRT:
    """One interpreter. It takes one picture at a time: XNNPACK gains nothing from batches on one thread."""

    def __init__(self, interpreter: Interpreter) -> None:
        interpreter.allocate_tensors()
        self._interpreter = interpreter
        self._input = interpreter.get_input_details()[0]["index"]
        self._output = interpreter.get_output_details()[0]["index"]
        self._lock = threading.Lock()  # an interpreter holds its tensors and is not reentrant

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """float32 (n, height, width, channels) -> float32 (n, labels)."""
        answers = []
        with self._lock:
            for index in range(len(batch)):
                self._interpreter.set_tensor(self._input, batch[index : index + 1])
                self._interpreter.invoke()
                answers.append(self._interpreter.get_tensor(self._output))
        return answers[0] if len(answers) == 1 else np.concatenate(answers)


def load(file: Path) -> LiteRT:
    """Load a .tflite file on one thread: workers, not threads, use the cores."""
    return LiteRT(Interpreter(model_path=str(file), num_threads=1))
