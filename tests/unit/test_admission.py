"""Who may wait, until when, and what the others are told."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.admission import Admission

pytestmark = pytest.mark.unit


def test_nothing_is_known_at_first_and_all_may_wait() -> None:
    assert Admission(1.0).admits(1000, 1.0)


def test_as_many_wait_as_can_be_answered_in_time() -> None:
    admission = Admission(1.0)
    for _ in range(500):
        admission.worked(0.01)
    assert admission.admits(59, 1.0)
    assert not admission.admits(61, 1.0)
    assert admission.admits(5, 0.1)
    assert not admission.admits(7, 0.1)
    assert admission.admits(0, 0.001)


def test_work_that_would_be_late_does_not_begin() -> None:
    admission = Admission(1.0)
    for _ in range(500):
        admission.worked(0.05)
    assert admission.in_time(10.0, 10.06)
    assert not admission.in_time(10.0, 10.04)
    assert not admission.in_time(10.0, 9.0)


def test_a_model_slower_than_the_deadline_is_still_served() -> None:
    admission = Admission(1.0)
    for _ in range(500):
        admission.worked(3.0)
    assert admission.admits(0, 1.0)
    assert admission.in_time(10.0, 11.0)


@pytest.mark.parametrize(
    ("patience", "expected"),
    [("", 1.0), ("250", 0.25), ("0", 0.0), ("5000", 1.0), ("-1", 1.0), ("1e3", 1.0), ("٢٥٠", 1.0), ("9" * 20, 1.0)],
)
def test_a_client_can_shorten_its_deadline(patience: str, expected: float) -> None:
    assert Admission(1.0).expiry(100.0, "", patience) == 100.0 + expected


def test_the_time_in_a_proxy_counts_for_a_client_with_a_deadline() -> None:
    started = f"t={time.time() - 0.5:.3f}"
    assert 100.1 < Admission(1.0).expiry(100.0, started, "800") <= 100.301
    assert Admission(1.0).expiry(100.0, started, "") == 101.0


@pytest.mark.parametrize("started", ["t=", "t=x", "t=nan", "t=inf", "t=1e9", "1700000000", "t=99999999999", "t=-5"])
def test_a_start_that_makes_no_sense_or_is_to_come_counts_for_nothing(started: str) -> None:
    assert Admission(1.0).expiry(100.0, started, "900") == 100.9


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_header_gives_a_deadline(started: str, patience: str) -> None:
    assert 39.0 <= Admission(1.0).expiry(100.0, started, patience) <= 101.0


@pytest.mark.parametrize("code", ["overloaded", "deadline_exceeded", "client_gone"])
def test_every_refusal_says_why(code: str) -> None:
    message, request_id = Admission(1.0).refusal(code, "mine")
    assert message
    assert request_id == "mine"
