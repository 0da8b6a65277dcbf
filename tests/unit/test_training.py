"""The parts of training that need no training: schedule, calibration, card."""

from __future__ import annotations

import numpy as np
import pytest

from model.training import calibration, card
from model.training.schedule import SHIPPED

pytestmark = pytest.mark.unit


def test_the_schedule_covers_every_epoch_and_ends_at_zero() -> None:
    sides = [SHIPPED.stage(epoch).side for epoch in range(SHIPPED.epochs)]
    assert len(sides) == sum(stage.epochs for cycle in SHIPPED.cycles for stage in cycle.stages)
    rates = [SHIPPED.lr_at(epoch / 4) for epoch in range(4 * SHIPPED.epochs)]
    assert max(rates) <= max(cycle.lr for cycle in SHIPPED.cycles) + 1e-9
    assert min(rates) >= 0
    assert SHIPPED.lr_at(SHIPPED.epochs) == pytest.approx(0, abs=1e-9)


def test_the_temperature_that_spoilt_the_scores_is_found_again() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 2))
    truth = (rng.random(20_000) < calibration.softmax(logits)[:, 1]).astype(int)
    assert calibration.fit_temperature(logits * 3, truth) == pytest.approx(3, rel=0.05)
    assert calibration.expected_error(calibration.softmax(logits), truth) < 0.02
    assert calibration.expected_error(calibration.softmax(logits * 3), truth) > 0.05
    assert calibration.cross_fitted_error(logits * 3, truth) < 0.02


def test_calibration_error_of_a_liar_is_the_size_of_the_lie() -> None:
    scores = np.tile([0.99, 0.01], (100, 1))
    truth = np.repeat([0, 1], 50)
    assert calibration.expected_error(scores, truth) == pytest.approx(0.49)


def test_the_interval_is_wilsons() -> None:
    assert card.wilson(95, 100) == pytest.approx((0.8882, 0.9785), abs=1e-3)
