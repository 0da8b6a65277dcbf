"""The training loop on a handful of small pictures: it learns, stops, resumes and leaves what export needs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", reason="OpenCV is installed for training alone (requirements/train.txt)")
pytest.importorskip("torch", reason="PyTorch is installed for training alone (requirements/train.txt)")

from model.training import fit, network
from model.training.photos import Photos
from model.training.schedule import Cycle, Plan, Stage, Strength

pytestmark = [pytest.mark.unit, pytest.mark.slow, pytest.mark.timeout(600)]

PLAN = Plan(
    blocks=(1, 1, 2, 0),
    cycles=(Cycle(0.05, 1, (Stage(2, 32, Strength(), 0.5), Stage(2, 48, Strength(min_area=0.8), 0.0))),),
    batch=16,
)


@pytest.fixture(scope="module")
def photos() -> Photos:
    """Bright pictures are cats, dark ones are dogs."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 64)
    images = [rng.integers(0, 90, (40, 56, 3), np.uint8) + np.uint8(150 * (1 - label)) for label in labels]
    return Photos(images, labels.astype(np.int64), [f"{number}.jpg" for number in range(64)])


def weights(run: Path) -> list[np.ndarray]:
    with np.load(run / "average.npz") as saved:
        return [saved[f"w{index}"] for index in range(len(saved.files))]


def test_a_run_that_was_stopped_ends_like_one_that_was_not(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit.fit(photos, photos, PLAN, tmp_path / "whole")
    rows = [json.loads(line) for line in (tmp_path / "whole" / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert [row["side"] for row in rows] == [32, 32, 48, 48]
    assert rows[-1]["loss"] < rows[0]["loss"]

    real = fit._save

    def save_and_stop(run: Path, *rest: object) -> None:
        real(run, *rest)
        if rest[-1] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(fit, "_save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        fit.fit(photos, photos, PLAN, tmp_path / "stopped")
    monkeypatch.setattr(fit, "_save", real)
    fit.fit(photos, photos, PLAN, tmp_path / "stopped")
    for one, other in zip(weights(tmp_path / "whole"), weights(tmp_path / "stopped"), strict=True):
        assert np.allclose(one, other, atol=1e-4)


def test_a_smaller_network_starts_as_its_teacher_and_learns_from_it(photos: Photos, tmp_path: Path) -> None:
    fit.fit(photos, photos, PLAN, tmp_path / "teacher")
    teacher = fit.trained(PLAN, tmp_path / "teacher")
    before = [weight.copy() for weight in teacher.get_weights()]
    still = dataclasses.replace(
        PLAN,
        blocks=(1, 1, 1, 0),
        instead=(("stage3_block1", "stage3_block2"),),
        cycles=(Cycle(0.0, 0, PLAN.cycles[0].stages),),
        taught=0.7,
    )
    fit.fit(photos, photos, still, tmp_path / "student", teacher)
    kernel = fit.trained(still, tmp_path / "student").get_layer("stage3_block1_first").get_weights()[0]
    assert np.allclose(kernel, teacher.get_layer("stage3_block2_first").get_weights()[0], atol=1e-4)
    for weight, old in zip(teacher.get_weights(), before, strict=True):
        assert np.array_equal(weight, old)


def test_the_fused_layers_compute_what_keras_computes() -> None:
    import torch

    fused = network.build(PLAN.blocks, None, fit.FusedConv2D, fit.FusedBatchNormalization)
    plain = network.build(PLAN.blocks)
    plain.set_weights(fused.get_weights())
    for side in (48, 56):  # sides that are even all the way down, and not
        x = torch.rand(2, side, side, 3)
        with torch.no_grad():
            assert torch.allclose(fused(x, training=False), plain(x, training=False), atol=1e-4)
