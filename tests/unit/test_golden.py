"""How golden inputs are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model import golden
from model.errors import BundleError


def _of_picture(scale: float) -> np.ndarray:
    levels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3))
    return levels.astype(np.float32) * np.float32(scale) - np.float32(1)


@pytest.mark.parametrize(
    "values",
    [
        _of_picture(1 / 127.5),
        _of_picture(1.0).astype(np.float16),
        np.random.default_rng(0).normal(size=(4, 64, 64)).astype(np.float32),  # all different
        np.random.default_rng(0).normal(size=(4, 32)),
        np.zeros((1, 112, 112, 3), np.float32),
        np.array([np.nan, np.inf, -np.inf, 1.0] * 2000, np.float32).reshape(2, -1),
        np.arange(6).reshape(2, 3),
        np.array([["a"], ["ä text"]]),
        np.array([[True], [False]]),
    ],
    ids=lambda values: f"{values.dtype}-{values.shape}",
)
def test_what_is_kept_comes_back_as_it_was(tmp_path: Path, values: np.ndarray) -> None:
    golden.write(tmp_path / "golden.npz", {"input_0": values, "output_0": values})
    for (found,) in golden.read(tmp_path / "golden.npz", 1, 1):
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)


def test_numbers_of_a_picture_take_a_byte_each(tmp_path: Path) -> None:
    values = _of_picture(1 / 127.5)
    golden.write(tmp_path / "golden.npz", {"input_0": values})
    assert (tmp_path / "golden.npz").stat().st_size < values.size + 4096


def test_what_was_kept_as_it_is_can_be_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "golden.npz", input_0=np.ones((1, 3)), output_0=np.zeros((1, 2)))
    (inputs,), (outputs,) = golden.read(tmp_path / "golden.npz", 1, 1)
    assert inputs.tolist() == [[1, 1, 1]]
    assert outputs.tolist() == [[0, 0]]


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    golden.write(tmp_path / "golden.npz", {"input_0": np.ones((1, 3))})
    with pytest.raises(BundleError, match=r"lacks a tensor.*output_0"):
        golden.read(tmp_path / "golden.npz", 1, 1)
