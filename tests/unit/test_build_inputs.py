"""Rows that a user gives to the build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.build import golden
from model.build.errors import BuildError
from model.bundle import Tensor

pytestmark = pytest.mark.unit

INPUTS = (Tensor("price", "float32", (None, 3)), Tensor("word", "string", (None, None)), Tensor("id", "int32", (None,)))


def rows(**changes: Any) -> dict[str, np.ndarray]:
    arrays = {"price": np.ones((5, 3)), "word": np.full((5, 2), "schön"), "id": np.arange(5.0)}
    return {name: np.asarray(values) for name, values in (arrays | changes).items() if values is not None}


def test_each_input_gets_its_array_in_its_dtype(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", **rows())
    price, word, number = golden.own_inputs(tmp_path / "rows.npz", INPUTS)
    assert (price.dtype, price.shape) == (np.float32, (5, 3))
    assert word.tolist() == [["schön", "schön"]] * 5
    assert (number.dtype, number.tolist()) == (np.int32, [0, 1, 2, 3, 4])
    np.save(tmp_path / "rows.npy", np.zeros((2, 3)))
    assert golden.own_inputs(tmp_path / "rows.npy", INPUTS[:1])[0].shape == (2, 3)


def test_bytes_are_text_where_they_are_utf8_and_kept_as_they_are_else(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", **rows(word=np.full((5, 2), "schön".encode())))
    assert golden.own_inputs(tmp_path / "rows.npz", INPUTS)[1].tolist() == [["schön", "schön"]] * 5
    np.savez(tmp_path / "rows.npz", **rows(word=np.full((5, 2), b"\xff\xd8\x00\xff")))
    assert golden.own_inputs(tmp_path / "rows.npz", INPUTS)[1].tolist() == [[b"\xff\xd8\x00\xff"] * 2] * 5


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"id": None, "more": [1]}, ["holds price, word, more; the inputs are price, word, id"]),
        ({"price": np.ones((5, 4)), "id": ["a"] * 5}, [r"price has the shape \[5, 4\], not \[rows, 3\]", "id is <U1"]),
        ({"word": np.ones((5, 2))}, ["word is float64, not string"]),
        ({"id": np.full(5, 0.5)}, ["id has numbers that int32 does not"]),
        ({"id": [1]}, ["the same number of rows"]),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], messages: list[str]) -> None:
    np.savez(tmp_path / "rows.npz", **rows(**changes))
    for message in messages:
        with pytest.raises(BuildError, match=message):
            golden.own_inputs(tmp_path / "rows.npz", INPUTS)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"PK\x03\x04"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "rows.npz").write_bytes(data)
    with pytest.raises(BuildError, match="cannot be read"):
        golden.own_inputs(tmp_path / "rows.npz", INPUTS)


def test_not_all_of_them_hold_up_a_workers_start() -> None:
    assert golden.kept([np.zeros((1000, 3)), np.full((1000, 2), "text")]) == golden.ROWS
    assert golden.kept([np.zeros((1000, 64, 64, 3), np.uint8)]) == golden.PICTURES
    assert golden.kept([np.full(1000, b"x" * 5000)]) == golden.PICTURES
    assert golden.kept([np.zeros((2, 3))]) == 2
