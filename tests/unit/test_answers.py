"""The answers that a worker writes without the app."""

from __future__ import annotations

import json
import time

import pytest

from app.dialects import kiln_error
from deploy import answers

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("request_id", ["a", "3", "with.every:sign_/+=-", "0" * 128])
@pytest.mark.parametrize("keep", [True, False])
def test_a_refusal_is_what_is_written_of_its_parts(
    request_id: str, keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    refused = answers.refused(kiln_error, 503, "overloaded", "Try again.", request_id, keep=keep)
    content = kiln_error(503, "overloaded", "Try again.", request_id)
    assert refused == answers.written(503, request_id, content, keep=keep, headers=answers.RETRY)
    head, _, body = refused.partition(b"\r\n\r\n")
    assert f"X-Request-ID: {request_id}" in head.decode().split("\r\n")
    assert "Retry-After: 1" in head.decode().split("\r\n")
    assert json.loads(body)["request_id"] == request_id


def test_the_hour_of_a_refusal_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    hours = []
    for seconds in (1_700_000_000, 1_700_000_001):
        monkeypatch.setattr(time, "time", lambda now=seconds: float(now))
        refused = answers.refused(kiln_error, 503, "overloaded", "Try again.", "a", keep=True)
        hours.append(next(line for line in refused.decode().split("\r\n") if line.startswith("Date: ")))
    assert hours == ["Date: Tue, 14 Nov 2023 22:13:20 GMT", "Date: Tue, 14 Nov 2023 22:13:21 GMT"]
