"""The wall clock jumps: deadlines and time-outs are kept on a clock that cannot."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.admission import Admission

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
# Where the time of day is what is meant: X-Request-Start, the times of a trace, and an answer's Date.
MAY_READ_THE_WALL_CLOCK = {"app/admission.py", "app/telemetry/tracing.py", "deploy/answers.py"}


def wall_clocks(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.time", "time.time_ns", "datetime.now"):
            yield node.lineno


@pytest.mark.parametrize(
    "path",
    sorted(p for folder in ("app", "deploy", "model") for p in (ROOT / folder).rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_deadlines_are_kept_on_a_clock_that_does_not_jump(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    if name not in MAY_READ_THE_WALL_CLOCK and not name.startswith(("model/build/", "model/training/", "model/cli/")):
        assert list(wall_clocks(path)) == [], name


@pytest.mark.parametrize("jump", [-86400.0, -1.0, 0.5, 86400.0, 1e9])
def test_a_jump_between_proxy_and_worker_refuses_at_most_a_minute(monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    """X-Request-Start is of the wall clock: a jump back counts for nothing, one forth for a minute at most."""
    monkeypatch.setattr("time.time", lambda: 1e9 + jump)
    left = Admission(1.0).expiry(100.0, "t=1000000000.000", "1000") - 100.0
    assert 1.0 - 60.0 <= left <= 1.0
    assert jump > 0 or left == 1.0
