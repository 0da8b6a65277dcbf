"""A worker that is told to stop stops, whatever it is doing at that moment."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.worker import Worker

pytestmark = [pytest.mark.unit]


@pytest.fixture
def worker() -> Any:
    made: Any = Worker.__new__(Worker)
    made.alive, made.ppid = True, os.getppid()
    made.method_queue = SimpleNamespace(defer=lambda *call: None)
    made.log = SimpleNamespace(info=lambda *text: None)
    return made


def test_a_signal_between_two_looks_at_the_master_counts(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python runs the handler between any two steps: here while the worker asks whose child it is."""

    def getppid() -> int:
        worker.handle_exit(signal.SIGTERM, None)
        return int(worker.ppid)

    monkeypatch.setattr(os, "getppid", getppid)
    assert not worker.is_parent_alive()
    assert not worker.alive


def test_a_worker_goes_on_while_its_master_lives(worker: Any) -> None:
    assert worker.is_parent_alive()
    assert worker.alive
    worker.ppid = -1
    assert not worker.is_parent_alive()
    assert not worker.alive
