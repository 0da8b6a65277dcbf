"""Leaving without losing a request: on SIGTERM not ready first, a delay that a load balancer can see, then the stop.

A worker cannot tell a stop from a reload, so the master does it. gunicorn finds what a signal does by the attribute
`handle_<signal>` of its arbiter.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

from . import door


def heed_at_birth(arbiter: Any) -> None:
    """Let a worker end that is told to before it has handlers of its own.

    It is forked with its master's, which note the signal in a queue that nobody in the worker reads: it would go on,
    and be killed with its requests when the master's patience is over. Nothing is lost with one that has just begun.
    """
    note = arbiter.signal

    def heed(number: int, frame: FrameType | None) -> None:
        if os.getpid() == arbiter.pid:
            note(number, frame)
        elif number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    arbiter.signal = heed


def install(arbiter: Any, mark: Path, seconds: float) -> None:
    """Let the first SIGTERM put `mark` there, which makes /ready 503, and the stop begin so many seconds later.

    Requests are answered all the while. A second SIGTERM stops at once and gracefully, as without this; so do SIGINT
    and SIGQUIT in their own way. Where USR2 has started a successor on the same sockets, nobody leaves: no delay.
    """
    leave = type(arbiter).handle_term.__get__(arbiter)

    def stop() -> None:
        if not (arbiter.systemd or arbiter.reexec_pid or arbiter.master_pid):  # nobody else listens on these sockets
            door.shut(arbiter.LISTENERS)
        leave()  # raises, which is how gunicorn's main loop ends

    def term() -> None:
        if not seconds or mark.exists() or arbiter.reexec_pid:
            stop()
        try:
            mark.touch()
        except OSError as full:
            arbiter.log.error("Cannot say that we leave: %s", full)
            stop()
        arbiter.log.info("Leaving: not ready from now on, stopping in %g seconds", seconds)
        signal.signal(signal.SIGALRM, lambda number, frame: arbiter.signal(signal.SIGTERM, frame))
        signal.setitimer(signal.ITIMER_REAL, seconds)  # a timer, not a thread: workers may have to be forked meanwhile

    arbiter.handle_term = term
