"""LiteRT (formerly TensorFlow Lite) with XNNPACK."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from . import packed
from .batches import in_batches

# Instances that run at once when many small ones come: a row of a dense model takes less time than the call around
# it. Pictures run one by one: there XNNPACK gains nothing from batches on one thread, and they would need memory.
BATCH = 64
BATCH_BYTES = 256 * 1024
# LiteRT keeps the text of every failure, and raises all of them with each new one. From this length on (in characters)
# the interpreter is made anew.
_MOST_TOLD = 16 * 1024
_NEVER = int(np.iinfo(np.int64).max)


class LiteRT:
    """A compiled file: an interpreter at the file's own batch, and one for many small instances at once."""

    def __init__(self, file: Path, threads: int) -> None:
        self._content = file.read_bytes()  # a file that is mapped and then written over ends the process with SIGBUS
        self._threads = threads
        self._own = _Fixed(self._content, threads)
        self._many: _Fixed | None = None
        self._many_size = _many_size(self._own)
        self._lock = threading.Lock()  # an interpreter holds its tensors and is not reentrant

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """See Engine."""
        with self._lock:
            if self._own.any_shape:
                return self._own.resized(inputs)
            count = len(inputs[0])
            many = self._for_many() if count >= self._many_size else None
            if many is None:
                return in_batches(self._own.run, inputs, self._own.batch)
            whole = count - count % many.batch
            parts = [in_batches(many.run, [values[:whole] for values in inputs], many.batch)]
            if whole < count:
                parts.append(in_batches(self._own.run, [values[whole:] for values in inputs], self._own.batch))
            return tuple(np.concatenate(values) for values in zip(*parts, strict=True))

    def slim(self) -> bool:
        """See engines.slim. A file of which another interpreter may be made, for many at once, is kept whole."""
        with self._lock:
            return self._many_size == _NEVER and self._own.slim()

    def _for_many(self) -> _Fixed | None:
        """The interpreter for many instances, made when they first come; None where the file cannot be resized."""
        if self._many is None:
            try:
                self._many = _Fixed(self._content, self._threads, self._many_size)
            except (RuntimeError, ValueError):  # a shape within the graph holds the file's own batch
                self._many_size = _NEVER
        return self._many


class _Fixed:
    """One interpreter at one batch size. Raises RuntimeError or ValueError when it cannot be had at `batch`."""

    def __init__(self, content: bytes, threads: int, batch: int | None = None) -> None:
        self._content, self._threads = content, threads
        self._interpreter = Interpreter(model_content=content, num_threads=threads)
        self._told = 0  # characters of failures that were raised before
        self._whole = True  # so that another interpreter can be made of the content
        self._inputs = _in_order(self._interpreter, "inputs")
        self._outputs = _in_order(self._interpreter, "outputs")
        details = {entry["index"]: entry for entry in self._interpreter.get_input_details()}
        self.details = [details[tensor] for tensor in self._inputs]
        self.any_shape = any(-1 in entry["shape_signature"] for entry in self.details)
        if batch is not None:
            self._resize([(batch, *entry["shape"][1:]) for entry in self.details])
        if not self.any_shape:
            self._interpreter.allocate_tensors()
        self.batch = batch or int(self.details[0]["shape"][0])
        if batch is not None:
            self._interpreter.invoke()
            if any(self._interpreter.get_tensor(tensor).shape[:1] != (batch,) for tensor in self._outputs):
                raise ValueError(f"The outputs do not follow a batch of {batch}.")

    def run(self, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Exactly `batch` instances. Raises RuntimeError with the engine's words where it fails on them."""
        try:
            return self._run(inputs)
        except RuntimeError as fault:
            raise self._news(fault) from None

    def _run(self, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        for tensor, values in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(tensor, values)
        self._interpreter.invoke()
        return tuple(self._interpreter.get_tensor(tensor) for tensor in self._outputs)

    def resized(self, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Inputs of any shape, for files whose sizes vary in more than the batch."""
        try:
            self._resize([values.shape for values in inputs])
        except RuntimeError as fault:
            raise self._news(fault) from None
        return self.run(inputs)

    def slim(self) -> bool:
        """Let go of the weights that XNNPACK has copied, where it runs all of the graph: it raises no failures, after
        which the interpreter would have to be made anew."""
        if self._whole and not self.any_shape:
            given_back = packed.let_go(self._interpreter, self._content)
            self._whole = given_back == 0
        return not self._whole

    def _news(self, fault: RuntimeError) -> RuntimeError:
        """What is new in it."""
        text = str(fault)
        new = RuntimeError(text[self._told :].strip() or text[-_MOST_TOLD:])
        self._told = len(text)
        if self._told > _MOST_TOLD and self._whole:
            self._renew()
        return new

    def _renew(self) -> None:
        self._interpreter, self._told = Interpreter(model_content=self._content, num_threads=self._threads), 0
        if not self.any_shape:
            self._resize([(self.batch, *entry["shape"][1:]) for entry in self.details])

    def _resize(self, shapes: Sequence[tuple[int, ...]]) -> None:
        for tensor, shape in zip(self._inputs, shapes, strict=True):
            self._interpreter.resize_tensor_input(tensor, shape)
        self._interpreter.allocate_tensors()


def _many_size(own: _Fixed) -> int:
    size = sum(int(np.prod(entry["shape"][1:])) * np.dtype(entry["dtype"]).itemsize for entry in own.details)
    batch = min(BATCH, BATCH_BYTES // max(size, 1))
    return batch if own.batch == 1 and batch >= 4 else _NEVER


def _in_order(interpreter: Any, which: str) -> list[int]:
    """The tensors of the one signature; its names end in their place among the bundle's inputs or outputs."""
    (signature,) = interpreter._get_full_signature_list().values()
    tensors: dict[str, int] = signature[which]
    return [tensors[name] for name in sorted(tensors, key=lambda name: int(name.rpartition("_")[2]))]


def load(file: Path, threads: int) -> LiteRT:
    """Load a .tflite file."""
    return LiteRT(file, threads)
