"""The store: AVAILABLE means proven, anything else has a reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from model.errors import ModelNotReady, NotAPicture, UnknownModel
from model.preprocess import Limits
from model.store import State, Store

pytestmark = pytest.mark.unit

SHIPPED = Path(__file__).parents[2] / "model" / "store"
PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()


def test_a_loaded_model_answers() -> None:
    store = Store(SHIPPED, Limits())
    assert store.load("catdog").state is State.AVAILABLE
    model = store.get("catdog")
    scores = model.classify(model.prepare([PHOTO, PHOTO]))
    assert scores.shape == (2, 2)
    assert scores.sum(1) == pytest.approx([1, 1], abs=1e-5)
    assert np.array_equal(scores[0], scores[1])


def test_the_newest_version_by_number_is_taken(tmp_path: Path) -> None:
    for version in ("9", "10"):
        shutil.copytree(SHIPPED / "catdog" / "1", tmp_path / "catdog" / version)
    (tmp_path / "catdog" / ".building-x").mkdir()
    assert Store(tmp_path, Limits()).load("catdog").version == "10"


def test_a_model_that_was_never_loaded_is_unknown() -> None:
    with pytest.raises(UnknownModel, match="'lion'"):
        Store(SHIPPED, Limits()).get("lion")


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path, Limits())
    version = store.load("catdog")
    assert version.state is State.END
    assert "holds no versions" in version.reason
    with pytest.raises(ModelNotReady, match="holds no versions"):
        store.get("catdog")


def test_a_damaged_bundle_never_becomes_available(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "catdog", tmp_path / "catdog")
    with (tmp_path / "catdog" / "1" / "model.tflite").open("r+b") as file:
        file.truncate(1000)
    store = Store(tmp_path, Limits())
    assert store.load("catdog").state is State.END
    with pytest.raises(ModelNotReady, match="checksum differs"):
        store.get("catdog")


def test_an_engine_that_raises_leaves_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str, file: Path) -> None:
        raise RuntimeError("native trouble")

    monkeypatch.setattr("model.engines.load", broken)
    store = Store(SHIPPED, Limits())
    with pytest.raises(RuntimeError):
        store.load("catdog")
    assert store.versions()[0].state is State.END
    with pytest.raises(ModelNotReady, match="RuntimeError while loading"):
        store.get("catdog")


def test_with_several_pictures_the_bad_one_is_numbered() -> None:
    store = Store(SHIPPED, Limits())
    store.load("catdog")
    with pytest.raises(NotAPicture, match="Image 2 of 3"):
        store.get("catdog").prepare([PHOTO, b"text", PHOTO])
