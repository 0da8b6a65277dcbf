"""Micro-batching: gathers the calls of several threads into one call of the engine.

Worth it for engines that cost much for each call, whatever its size (TensorFlow, a GPU); one that is as fast for one
instance as for many only waits. Nobody waits longer than it takes: while the engine is busy with one batch, the next
one gathers by itself.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from .engines import Engine
from .errors import Overloaded


class _Call:
    """One caller's instances, and what became of them."""

    def __init__(self, inputs: Sequence[np.ndarray]) -> None:
        self.inputs = inputs
        self.rows = len(inputs[0])
        self.form = [(array.shape[1:], array.dtype) for array in inputs]
        self.outputs: tuple[np.ndarray, ...] = ()
        self.fault: Exception | None = None
        self.done = False
        self.woken = threading.Event()  # done, or it is this caller's turn to run the engine


class Batcher:
    """An engine that gathers. Callers take turns in running it: there is no thread of its own to start or stop.

    max_batch: most instances in a call of the engine. max_delay: seconds that the first of a batch waits for others.
    max_waiting: most instances that may wait for their turn. on_batch: told how many instances each call has.
    """

    def __init__(
        self,
        engine: Engine,
        max_batch: int = 16,
        max_delay: float = 0.0,
        max_waiting: int = 256,
        on_batch: Callable[[int], None] = lambda instances: None,
    ) -> None:
        self._engine = engine
        self._max_batch = max_batch
        self._max_delay = max_delay
        self._max_waiting = max_waiting
        self._on_batch = on_batch
        self._waiting: deque[_Call] = deque()
        self._rows = 0  # in self._waiting
        self._running = False
        self._changed = threading.Condition()

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """See Engine. Raises Overloaded where too many wait already, and what the engine raises on these inputs."""
        call = _Call(inputs)
        with self._changed:
            if self._waiting and self._rows + call.rows > self._max_waiting:
                raise Overloaded("Too many requests wait for this model. Try again in a moment.")
            self._waiting.append(call)
            self._rows += call.rows
            first, self._running = not self._running, True
            self._changed.notify()
        if not first:
            call.woken.wait()
        if not call.done:
            self._run()
        if call.fault is not None:
            raise call.fault
        return call.outputs

    def _run(self) -> None:
        """Run the batch that begins with the longest waiting call, which is this thread's; then wake the next one."""
        batch = self._gather()
        try:
            self._answer(batch)
        finally:
            with self._changed:
                if self._waiting:
                    self._waiting[0].woken.set()
                else:
                    self._running = False
            for call in batch:
                call.done = True
                call.woken.set()

    def _gather(self) -> list[_Call]:
        with self._changed:
            if self._max_delay and self._rows < self._max_batch:
                self._changed.wait_for(lambda: self._rows >= self._max_batch, self._max_delay)
            batch = [self._waiting.popleft()]
            rows = batch[0].rows
            while self._waiting:
                call = self._waiting[0]
                if rows + call.rows > self._max_batch or call.form != batch[0].form:
                    break
                batch.append(self._waiting.popleft())
                rows += call.rows
            self._rows -= rows
        return batch

    def _answer(self, batch: list[_Call]) -> None:
        joined = batch[0].inputs if len(batch) == 1 else [np.concatenate(arrays) for arrays in _columns(batch)]
        try:
            outputs = self._engine(*joined)
            self._on_batch(len(joined[0]))
        except Exception as fault:
            if len(batch) == 1:
                batch[0].fault = fault
            else:
                for call in batch:  # whoever is to blame fails alone
                    self._answer([call])
            return
        start = 0
        for call in batch:
            call.outputs = tuple(output[start : start + call.rows] for output in outputs)
            start += call.rows


def _columns(batch: list[_Call]) -> list[list[np.ndarray]]:
    """For each input of the engine, every call's array."""
    return [[call.inputs[place] for call in batch] for place in range(len(batch[0].inputs))]
