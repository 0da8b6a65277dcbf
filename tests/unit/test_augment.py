"""Random views: right shape and type for every strength, and really random."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2", reason="OpenCV is installed for training alone (requirements/train.txt)")

from model.training.augment import Strength, random_view

pytestmark = pytest.mark.unit


def test_views_keep_shape_and_type() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (90, 140, 3), np.uint8)
    wild = Strength(min_area=0.1, aspect=2, colour=0.5, degrees=30, erase=0.9, soften=0.9)
    views = [random_view(picture, 64, wild, rng) for _ in range(200)]
    assert {view.shape for view in views} == {(64, 64, 3)}
    assert {view.dtype for view in views} == {np.dtype(np.uint8)}
    assert len({view.tobytes() for view in views}) == 200
