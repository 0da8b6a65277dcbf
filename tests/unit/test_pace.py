"""Rests between the steps of a load."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from model import disk, loading, preprocess
from model.pace import Pace
from tests import stores


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def test_nobody_is_rested_for_while_nobody_asks(slept: list[float]) -> None:
    pace = Pace()
    pace.rest()
    Pace(busy=lambda: False).rest()
    assert slept == []


def test_a_rest_is_as_long_as_its_piece_but_bounded(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([10.0, 10.005, 11.0, 14.0, 14.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    pace = Pace(busy=lambda: True)
    pace.rest()
    pace.rest()
    assert slept == pytest.approx([0.02, 0.1])


def test_a_load_beside_requests_rests_after_each_file_the_engine_and_each_picture(tmp_path: Path) -> None:
    folder = stores.add(tmp_path / "store", "7")
    seen = disk.of_bundle(disk.stats(folder), disk.read(folder))
    rests = []

    class Counting(Pace):
        def rest(self) -> None:
            rests.append(1)

    model = loading.load(folder, seen, preprocess.Limits(), None, loading.Tuning(), pace=Counting())
    pictures = len(model.bundle.golden_tensors()[0][0])
    assert len(rests) == len(model.bundle.engines) + 1 + 1 + pictures


def test_small_instances_are_asked_together() -> None:
    asked = []

    def engine(*inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        asked.append(len(inputs[0]))
        return (inputs[0].sum(-1),)

    rows = np.arange(72 * 1024, dtype=np.float32).reshape(72, 1024)
    (answers,) = loading._in_pieces(engine, Pace())(rows)
    np.testing.assert_array_equal(answers, rows.sum(-1))
    assert asked == [64, 8]
