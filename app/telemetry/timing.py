"""What is known of one request while it is worked on; afterwards metrics, logs and traces are made of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.store import Model

KILN = "kiln"  # our own dialect


class Timing:
    """One request. Times are those of time.perf_counter(), in seconds.

    began: when the application took it. queued: how long it waited in the worker before that; None where it never
    stood in the queue. steps: name -> (began, ended) of what was done for it. model: the labels of the version that it
    is for (name, version, engine, dialect); empty until that is known. images, instances: how many it holds.
    code: of the error that it met. parent: its W3C traceparent, or nothing. dialect: the protocol that its client
    speaks. route: the form of its path, where Flask does not tell it.
    """

    __slots__ = (
        "began",
        "code",
        "dialect",
        "images",
        "instances",
        "model",
        "parent",
        "queued",
        "request_id",
        "route",
        "steps",
    )

    def __init__(self, request_id: str, queued: float | None = None, parent: str = "", dialect: str = KILN) -> None:
        self.request_id = request_id
        self.queued = queued
        self.parent = parent
        self.dialect = dialect
        self.began = time.perf_counter()
        self.steps: dict[str, tuple[float, float]] = {}
        self.model: tuple[str, ...] = ()
        self.images = 0
        self.instances = 0
        self.code = ""
        self.route = ""

    def is_for(self, model: Model) -> None:
        """The version that answers is known."""
        self.model = (model.bundle.name, model.bundle.version, model.engine_name, self.dialect)

    def did(self, step: str, began: float) -> None:
        """A step that began then has ended."""
        self.steps[step] = (began, time.perf_counter())

    def seconds(self, step: str) -> float | None:
        """How long a step took; None where it was not done."""
        if step not in self.steps:
            return None
        began, ended = self.steps[step]
        return ended - began
