"""The model that ships: its size, its card, and its engines against each other on all validation photos."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from model import bundle as bundles
from model import engines
from model.preprocess import Limits, to_tensor

pytestmark = pytest.mark.unit

SHIPPED = Path(__file__).parents[2] / "model" / "store" / "catdog" / "1"


def test_it_is_small_and_says_where_it_comes_from() -> None:
    bundle = bundles.read(SHIPPED)
    assert bundle.engine_file("litert").size <= 3_000_000
    assert {"at", "keras", "tensorflow", "command", "photos"} <= set(bundle.built)


def test_the_card_tells_what_was_measured() -> None:
    card, measured = (SHIPPED / "MODEL_CARD.md").read_text(), json.loads((SHIPPED / "metrics.json").read_text())
    assert f"**{measured['accuracy']:.2%}**" in card
    assert f"{measured['expected_calibration_error']:.4f}" in card
    assert sum(map(sum, measured["confusion"])) == measured["photos"] == 1141
    assert len(measured["wrong"]) == round((1 - measured["accuracy"]) * measured["photos"])
    assert (SHIPPED / "training.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_engines_agree_on_every_validation_photo(pettrain: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    bundle = bundles.read(SHIPPED)
    with (pettrain / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val"]
    tensors = np.stack([to_tensor((pettrain / r["path"]).read_bytes(), bundle.preprocessing, Limits()) for r in rows])
    files = {name: SHIPPED / bundle.engine_file(name).name for name in ("litert", "keras")}
    served, reference = (engines.load(name, file)(tensors)[0] for name, file in files.items())
    assert np.array_equal(served.argmax(1), reference.argmax(1))
    assert np.abs(served - reference).max() <= 1e-3
    truth = np.array([bundle.labels.index(row["label"]) for row in rows])
    measured = json.loads((SHIPPED / "metrics.json").read_text())["accuracy"]
    assert (served.argmax(1) == truth).mean() == pytest.approx(measured, abs=0.002)
