"""Calls are gathered, each caller gets its own answer, and a bad one fails alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.batching import Batcher
from model.errors import Overloaded

pytestmark = pytest.mark.unit


class Doubler:
    """An engine with two outputs that notes its batches, and stands still until it is let go."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        self.batches.append(len(inputs[0]))
        self.entered.release()
        assert self.let_go.acquire(timeout=20)
        if (inputs[0] < 0).any():
            raise ValueError("negative")
        return inputs[0] * 2, inputs[0].sum(1)


def free(count: int = 1000) -> Doubler:
    engine = Doubler()
    engine.let_go.release(count)
    return engine


def row(*values: float) -> np.ndarray:
    return np.array([values])


def waiting(batcher: Batcher, rows: int) -> None:
    with batcher._changed:
        assert batcher._changed.wait_for(lambda: batcher._rows == rows, timeout=20)


def test_one_call_alone_is_passed_on() -> None:
    double, total = Batcher(free())(np.array([[1, 2], [3, 4]]))
    assert double.tolist() == [[2, 4], [6, 8]]
    assert total.tolist() == [3, 7]


def test_what_comes_while_the_engine_runs_is_gathered() -> None:
    engine = Doubler()
    told: list[int] = []
    batcher = Batcher(engine, max_batch=4, on_batch=told.append)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher, row(1))
        assert engine.entered.acquire(timeout=20)
        others = []
        for number in range(2, 8):  # one after the other, so that their order is known
            others.append(pool.submit(batcher, row(number)))
            waiting(batcher, number - 1)
        engine.let_go.release(10)
        answers = [future.result(20)[0].item() for future in (first, *others)]
    assert answers == [2, 4, 6, 8, 10, 12, 14]
    assert engine.batches == told == [1, 4, 2]


def test_a_bad_one_fails_alone() -> None:
    engine = Doubler()
    batcher = Batcher(engine)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher, row(1))
        assert engine.entered.acquire(timeout=20)
        others = [pool.submit(batcher, row(number)) for number in (2, -3, 4)]
        waiting(batcher, 3)
        engine.let_go.release(10)
        assert first.result(20)[0].item() == 2
        assert others[0].result(20)[0].item() == 4
        assert others[2].result(20)[0].item() == 8
        with pytest.raises(ValueError, match="negative"):
            others[1].result(20)
    assert sorted(engine.batches) == [1, 1, 1, 1, 3]
    engine.let_go.release()
    assert batcher(row(5))[0].item() == 10


def test_other_shapes_and_types_are_not_mixed() -> None:
    engine = Doubler()
    batcher = Batcher(engine)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher, row(1))
        assert engine.entered.acquire(timeout=20)
        others = []
        for number, inputs in enumerate((row(1, 2), row(3, 4), row(5), row(6).astype(np.float32)), 1):
            others.append(pool.submit(batcher, inputs))
            waiting(batcher, number)
        engine.let_go.release(10)
        assert [future.result(20)[1].item() for future in (first, *others)] == [1, 3, 7, 5, 6]
    assert engine.batches == [1, 2, 1, 1]


def test_a_batch_of_ones_own_may_be_larger() -> None:
    engine = free()
    assert Batcher(engine, max_batch=2, max_waiting=2)(np.ones((5, 1)))[0].shape == (5, 1)
    assert engine.batches == [5]


def test_too_many_are_refused_at_once() -> None:
    engine = Doubler()
    batcher = Batcher(engine, max_waiting=2)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher, row(1))
        assert engine.entered.acquire(timeout=20)
        others = [pool.submit(batcher, row(number)) for number in (2, 3)]
        waiting(batcher, 2)
        with pytest.raises(Overloaded):
            batcher(row(4))
        engine.let_go.release(10)
        assert [future.result(20)[0].item() for future in (first, *others)] == [2, 4, 6]


def test_the_first_waits_for_others_when_told_to() -> None:
    engine = free()
    batcher = Batcher(engine, max_batch=2, max_delay=30)
    with ThreadPoolExecutor(2) as pool:
        answers = [future.result(20)[0].item() for future in [pool.submit(batcher, row(n)) for n in (1, 2)]]
    assert answers == [2, 4]
    assert engine.batches == [2]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.integers(1, 8))
def test_everyone_gets_their_own_answer(sizes: list[int], max_batch: int) -> None:
    engine = free()
    batcher = Batcher(engine, max_batch=max_batch)
    inputs = [np.full((size, 1), number) for number, size in enumerate(sizes)]
    with ThreadPoolExecutor(6) as pool:
        for given_, (double, total) in zip(inputs, pool.map(lambda x: batcher(x), inputs), strict=True):
            assert np.array_equal(double, given_ * 2)
            assert np.array_equal(total, given_[:, 0])
    assert sum(engine.batches) == sum(sizes)
    assert not batcher._running
    assert batcher._rows == 0
