"""The moments at which requests in open loop are due."""

from __future__ import annotations

import random

import pytest

from loadtest.arrivals import Arrivals

pytestmark = pytest.mark.unit


def every(rate: float) -> float:
    return 1 / rate


def taken(arrivals: Arrivals, now: float, rate: float) -> int:
    """How many are due by then."""
    count = 0
    while arrivals.take(now, rate):
        count += 1
    return count


def test_nothing_is_due_at_the_start() -> None:
    arrivals = Arrivals(every)
    assert taken(arrivals, 100.0, 2) == 0
    assert arrivals.due == 100.5
    assert taken(arrivals, 100.5, 2) == 1


def test_no_delay_adds_up() -> None:
    arrivals = Arrivals(every)
    assert taken(arrivals, 0.0, 2) == 0
    assert taken(arrivals, 5.1, 2) == 10
    assert arrivals.due == 5.5


def test_a_new_rate_begins_anew() -> None:
    arrivals = Arrivals(every)
    assert taken(arrivals, 0.0, 1) == 0
    assert taken(arrivals, 60.0, 4) == 0
    assert taken(arrivals, 61.0, 4) == 4
    arrivals.rest(61.0)
    assert taken(arrivals, 120.0, 4) == 0


def test_what_was_sent_and_what_was_missed() -> None:
    arrivals = Arrivals(every)
    assert taken(arrivals, 0.0, 2) == 0
    assert arrivals.take(10.0, 2)
    assert (arrivals.sent, arrivals.missed(10.0)) == (1, 18.0)
    arrivals.take(11.0, 4)  # at the new rate nothing is due yet
    assert (arrivals.sent, arrivals.missed(11.0)) == (1, 20.0)
    arrivals.rest(12.0)
    assert arrivals.missed(99.0) == 20.0 + 0.75 * 4


def test_the_mean_rate() -> None:
    draw = random.Random(1).expovariate
    users = [Arrivals(draw) for _ in range(60)]
    assert sum(taken(user, 0.0, 5 / 60) for user in users) == 0
    assert 900 < sum(taken(user, 200.0, 5 / 60) for user in users) < 1100
