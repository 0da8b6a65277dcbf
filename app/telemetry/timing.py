"""What is known of one request while it is worked on; afterwards metrics, logs and traces are made of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.store import Model

DIALECT = "kiln"  # the protocol that a client speaks


class Timing:
    """One request. Times are those of time.perf_counter(), in seconds.

    began: when the application took it. queued: how long it waited in the worker before that; None where it never
    stood in the queue. steps: name -> (began, ended) of what was done for it. model: the labels of the version that it
    is for (name, version, engine, dialect); empty until that is known. images, instances: how many it holds.
    code: of the error that it met. parent: its W3C traceparent, or nothing.
    """

    __slots__ = ("began", "code", "images", "instances", "model", "parent", "queued", "request_id", "steps")

    def __init__(self, request_id: str, queued: float | None = None, parent: str = "") -> None:
        self.request_id = request_id
        self.queued = queued
        self.parent = parent
        self.began = time.perf_counter()
        self.steps: dict[str, tuple[float, float]] = {}
        self.model: tuple[str, ...] = ()
        self.images = 0
        self.instances = 0
        self.code = ""

    def is_for(self, model: Model) -> None:
        """The version that answers is known."""
        self.model = (model.bundle.name, model.bundle.version, model.engine_name, DIALECT)

    def did(self, step: str, began: float) -> None:
        """A step that began then has ended."""
        self.steps[step] = (began, time.perf_counter())

    def seconds(self, step: str) -> float | None:
        """How long a step took; None where it was not done."""
        if step not in self.steps:
            return None
        began, ended = self.steps[step]
        return ended - began
