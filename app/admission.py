"""Bounded waiting: who is let in, until when, and what the others are told.

A worker does one piece of work at a time. A request that would wait longer than its deadline is refused at once, with
503 and Retry-After, while there is still time to try elsewhere; one whose deadline passes while it waits is dropped
before anything is computed. So a worker under any load spends its time on answers that somebody still wants.
"""

from __future__ import annotations

import re
import time

from .telemetry import request_id
from .telemetry.recording import Recorder
from .telemetry.timing import KILN

DEADLINE_HEADER = "X-Deadline-Ms"
# How much of the time to its deadline a request may be expected to wait; the rest is for it, and for bad guesses.
_SHARE = 0.6
_WEIGHT = 0.05  # of the newest piece of work in the mean
_START = re.compile(r"t=[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)

REFUSALS = {
    "overloaded": "More requests wait than can be answered in time. Try again in a moment. If that does not help, the "
    "model is slow and its operator can give requests more time: KILN_DEADLINE.",
    "deadline_exceeded": "The request waited until its deadline; nothing was computed. Try again or give it more time.",
    "client_gone": "The client closed its connection while its request waited.",
}


class Admission:
    """The rule of one worker. deadline: seconds from a request's arrival in which work on it must begin.
    recorder: is told of what was refused."""

    def __init__(self, deadline: float, recorder: Recorder | None = None) -> None:
        self.deadline = deadline
        self._mean = 0.0
        self._recorder = recorder or Recorder()

    def worked(self, seconds: float) -> None:
        """Learn how long a piece of work took, with all that was done since the one before: in a storm, to refuse."""
        self._mean += _WEIGHT * (seconds - self._mean)

    def expiry(self, now: float, started: str, patience: str) -> float:
        """When work on a request must begin, on the clock of time.monotonic(), where `now` is that too.

        started: the X-Request-Start that a proxy sets, "t=" and seconds since the epoch. patience: the client's
        X-Deadline-Ms, milliseconds from then. What is missing or makes no sense counts for nothing; a client can
        shorten its deadline, not lengthen it. Without one of its own, the time before now does not count: requests that
        waited while the service was restarted are answered, not refused.
        """
        expiry = now + self.deadline
        if patience.isascii() and patience.isdecimal() and len(patience) < 10:
            expiry = min(expiry, now - _since(started) + int(patience) / 1000)
        return expiry

    def admits(self, waiting: int, left: float) -> bool:
        """May a request that has `left` seconds wait behind `waiting` others?"""
        return waiting * self._mean <= left * _SHARE

    def in_time(self, now: float, expiry: float) -> bool:
        """May work on a request begin now? Not if its answer would be late; of a slow model's time a fifth counts."""
        return now + min(self._mean, self.deadline / 5) <= expiry

    def refusal(
        self,
        code: str,
        offered_id: str,
        method: str = "",
        path: str = "",
        queued: float = 0.0,
        status: int = 503,
        dialect: str = KILN,
    ) -> tuple[str, str]:
        """(message, request id) for a request that is not worked on; records it. There may be thousands a second.

        queued: seconds that it waited. status: that it is refused with. dialect: that of its path.
        """
        identity = request_id.chosen(offered_id)
        answered = 499 if code == "client_gone" else status
        self._recorder.unread(code, answered, identity, dialect, method, path, queued)
        return REFUSALS[code], identity


def _since(started: str) -> float:
    """Seconds since an X-Request-Start, at least 0; clocks jump, so at most a minute counts."""
    if not _START.fullmatch(started):
        return 0.0
    return min(max(time.time() - float(started[2:]), 0.0), 60.0)
