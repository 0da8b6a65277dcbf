"""The parts of training that need no training: schedule, calibration, card."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model import bundle as bundles
from model.training import calibration, card
from model.training.schedule import SHIPPED as SCHEDULE

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "model" / "store" / "catdog" / "1"


def test_the_schedule_covers_every_epoch_and_ends_at_zero() -> None:
    sides = [SCHEDULE.stage(epoch).side for epoch in range(SCHEDULE.epochs)]
    assert len(sides) == sum(stage.epochs for cycle in SCHEDULE.cycles for stage in cycle.stages)
    rates = [SCHEDULE.lr_at(epoch / 4) for epoch in range(4 * SCHEDULE.epochs)]
    assert max(rates) <= max(cycle.lr for cycle in SCHEDULE.cycles) + 1e-9
    assert min(rates) >= 0
    assert SCHEDULE.lr_at(SCHEDULE.epochs) == pytest.approx(0, abs=1e-9)


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


def test_the_card_that_ships_is_the_one_that_is_made_now() -> None:
    """All of it but the numbers of photos by label, which only the manifest has."""
    bundle = bundles.read(SHIPPED)
    count, _, checksum = bundle.built["photos"].partition(", in a manifest.csv of SHA-256 ")
    measured = json.loads((SHIPPED / "metrics.json").read_text())
    made = card.text(measured, [{"split": "none", "label": "none"}] * int(count), bundle, checksum)
    shipped = (SHIPPED / "MODEL_CARD.md").read_text()
    table = ("| training |", "| validation |")
    assert [line for line in made.splitlines() if not line.startswith(table)] == [
        line for line in shipped.splitlines() if not line.startswith(table)
    ]


def test_a_manifest_that_lacks_columns_is_told_before_hours_of_training(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,label\ncat.jpg,cat\n")
    command = [sys.executable, "-m", "model.training", "--photos", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "manifest.csv lacks the columns: split, origin. See --help." in done.stderr
