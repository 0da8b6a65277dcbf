"""ONNX Runtime on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from .batches import in_batches


class Onnx:
    """A session. ONNX Runtime takes any batch and several threads at a time by itself."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._inputs = _in_order([entry.name for entry in session.get_inputs()])
        self._outputs = _in_order([entry.name for entry in session.get_outputs()])
        batch = session.get_inputs()[0].shape[0]
        self._batch = batch if isinstance(batch, int) else None

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """See Engine."""
        return in_batches(self._run, inputs, self._batch or len(inputs[0]))

    def _run(self, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        return tuple(self._session.run(self._outputs, dict(zip(self._inputs, inputs, strict=True))))


# Zeros that are padded before a maximum pool become its own padding there, which is less than any number (1.31.1).
_WRONG = ["Pad_Fusion"]


def _in_order(names: list[str]) -> list[str]:
    """The names end in their place among the bundle's inputs or outputs."""
    return sorted(names, key=lambda name: int(name.rpartition("_")[2]))


def load(file: Path, threads: int) -> Onnx:
    """Load a .onnx file. Threads do not spin between calls: other workers need the cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors alone
    providers = ["CPUExecutionProvider"]
    return Onnx(onnxruntime.InferenceSession(str(file), options, providers, disabled_optimizers=_WRONG))
