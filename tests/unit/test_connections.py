"""How many connections a worker takes at a look."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.workers.gthread import ThreadWorker

from deploy import connections
from deploy.connections import Connections

pytestmark = [pytest.mark.unit]


class Queue:
    """The kernel's, of one listener, and the worker that looks at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.now = 0, 100.0
        self.worker: Any = Connections.__new__(Connections)
        self.worker.accepts, self.worker.accepted = connections.FIRST_ACCEPTS, 0.0
        self.worker.met = self.worker.nr_conns = 0
        self.worker.worker_connections, self.worker.others_turn = 4000, 0.0
        self.worker.waiting_conns = set()
        self.worker.cfg = SimpleNamespace(threads=8, workers=2)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(ThreadWorker, "accept", lambda worker, listener: self.take())

    def take(self) -> None:
        if self.left:
            self.left -= 1
            self.worker.met += 1

    def looks(self, count: int) -> list[int]:
        """How many are taken at each of so many looks, 20 ms apart."""
        found = []
        for _ in range(count):
            before = self.worker.met
            self.worker.accept(None)
            found.append(self.worker.met - before)
            self.now += 0.02
        return found


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    return Queue(monkeypatch)


def test_few_that_come_at_once_are_left_to_others_too(queue: Queue) -> None:
    for _ in range(3):  # whatever was there before
        queue.left = 4
        assert queue.looks(5) == [1, 1, 1, 1, 0]
        queue.now += 1


def test_a_queue_is_emptied(queue: Queue) -> None:
    queue.left = 100
    assert queue.looks(9) == [1, 1, 1, 1, 2, 4, 8, 16, 32]


def test_clients_that_come_one_by_one_are_no_queue(queue: Queue) -> None:
    for _ in range(20):
        queue.left = 1
        assert queue.looks(1) == [1]
        queue.now += 1
    queue.left = 4
    assert queue.looks(2) == [1, 1]


def test_a_worker_with_many_requests_takes_all_at_once(queue: Queue) -> None:
    queue.worker.waiting_conns = set(range(connections.FEW_CONNECTIONS + 1))
    queue.left = 300
    assert queue.looks(1) == [300]


def test_a_worker_whose_threads_are_all_taken_leaves_others_their_turn(queue: Queue) -> None:
    queue.worker.busy, queue.worker.nr_conns = 8, 8
    queue.left = 100
    assert queue.looks(9) == [1] * 9
    assert queue.worker.others_turn == pytest.approx(queue.now - 0.02 + connections.TURN_SECONDS)
    queue.worker.cfg.workers, queue.worker.others_turn = 1, 0.0
    assert sum(queue.looks(9)) > 60


def test_a_worker_that_is_full_of_clients_that_are_served_takes_one_more_at_most(queue: Queue) -> None:
    queue.worker.keepalived_conns = queue.worker.pending_conns = []
    queue.worker.murder_keepalived = queue.worker.murder_pending = lambda: None
    queue.worker.nr_conns = 4000
    queue.worker.waiting_conns = set(range(connections.FEW_CONNECTIONS + 1))
    queue.left = 300
    assert queue.looks(1) == [1]
