"""Which workers let go of kept connections."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from deploy.queues import Queues
from deploy.worker import Worker

pytestmark = [pytest.mark.unit]

ANSWERS = 100


def let_go(queues: Queues, slot: int) -> int:
    """Connections that are closed with so many answers, while nothing changes."""
    return sum(queues.lets_go(slot) for _ in range(ANSWERS))


@pytest.mark.parametrize(
    ("own", "other", "behind"),
    [
        (1, 0, False),
        (2, 0, True),
        (2, 1, False),  # chance
        (3, 1, True),
        (10, 8, False),
        (12, 8, True),
        (100, 81, False),  # an overload
        (200, 100, True),
        (1000, 100, True),
        (1000, 900, False),  # more than is told
    ],
)
def test_one_that_has_much_more_to_do_is_behind(own: int, other: int, behind: bool) -> None:
    queues = Queues(4)
    queues.tell(0, other)
    queues.tell(1, own)
    assert bool(let_go(queues, 1)) is behind
    assert not let_go(queues, 0)


def test_the_shortest_counts() -> None:
    queues = Queues(4)
    for slot, length in enumerate((9, 9, 9, 0)):
        queues.tell(slot, length)
    assert all(let_go(queues, slot) for slot in range(3))


def test_who_is_alone_is_not_behind() -> None:
    queues = Queues(4)
    queues.tell(2, 100)
    assert not let_go(queues, 2)


def test_who_has_left_is_sent_nobody() -> None:
    queues = Queues(4)
    queues.tell(0, 0)
    queues.tell(1, 100)
    assert let_go(queues, 1)
    queues.leave(0)
    assert not let_go(queues, 1)


def test_workers_beyond_the_slots_do_without() -> None:
    queues = Queues(2)
    queues.tell(7, 0)
    queues.leave(7)
    queues.tell(0, 100)
    queues.tell(1, 100)
    assert not let_go(queues, 7)
    assert not let_go(queues, 0)


def test_few_are_let_go_at_a_time() -> None:
    queues = Queues(2)
    queues.tell(0, 0)
    queues.tell(1, 8)
    assert 0 < let_go(queues, 1) < ANSWERS / 4


@pytest.mark.parametrize(("threads", "busy", "closes"), [(8, 0, True), (8, 3, True), (8, 4, False), (1, 0, True)])
def test_threads_are_left_to_others(threads: int, busy: int, closes: bool) -> None:
    """A thread waits for the client of a closed connection, and some are slow to close it, too."""
    worker: Any = Worker.__new__(Worker)
    worker.cfg, worker.busy = SimpleNamespace(threads=threads), busy
    worker.queues, worker.slot = Queues(2), 1
    worker.queues.tell(0, 0)
    worker.queues.tell(1, 9)
    assert any(worker.lets_go() for _ in range(ANSWERS)) is closes
