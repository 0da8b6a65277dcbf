"""The bundle on disk: what is read, what is refused, what proving means. Uses copies of the shipped bundle."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import bundle as bundles
from model import engines
from model.errors import BundleError, EngineMissing

pytestmark = pytest.mark.unit

SHIPPED = Path(__file__).parents[2] / "model" / "store" / "catdog" / "1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "catdog" / "1"))


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / bundles.MANIFEST
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_the_shipped_bundle_is_whole_and_proves_itself() -> None:
    bundle = bundles.read(SHIPPED)
    assert (bundle.name, bundle.version, bundle.labels) == ("catdog", "1", ("cat", "dog"))
    assert bundle.engines["litert"].size <= 3_000_000
    for file in (*bundle.engines.values(), bundle.golden):
        bundle.check_file(file)
    engine = engines.load("litert", bundle.check_file(bundle.engine_file("litert")))
    assert bundle.prove(engine) <= bundle.tolerance


def test_writing_what_was_read_changes_nothing(folder: Path) -> None:
    before = bundles.read(folder)
    bundles.write(before)
    assert bundles.read(folder) == before


def test_a_changed_file_is_refused(folder: Path) -> None:
    bundle = bundles.read(folder)
    file = bundle.engine_file("litert")
    data = bytearray((folder / file.name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / file.name).write_bytes(data)
    with pytest.raises(BundleError, match="checksum differs"):
        bundle.check_file(file)
    (folder / file.name).unlink()
    with pytest.raises(BundleError, match="is missing"):
        bundle.check_file(file)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (lambda expected: expected + 0.01, "differ by 0.01"),
        (lambda expected: expected * np.nan, "differ by nan"),
        (lambda expected: expected[:, :1], "shape"),
        (lambda expected: expected[:, ::-1], "differ"),
    ],
)
def test_an_engine_that_answers_otherwise_is_refused(
    folder: Path, answers: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    bundle = bundles.read(folder)
    with np.load(folder / "golden.npz") as golden:
        wrong = answers(golden["output_0"])
    with pytest.raises(BundleError, match=message):
        bundle.prove(lambda batch: (wrong,))


@pytest.mark.parametrize(("expected", "refused"), [([0.5004, 0.4996], True), ([0.5001, 0.4999], False)])
def test_another_label_within_the_tolerance_is_refused_but_for_ties(
    folder: Path, expected: list[float], refused: bool
) -> None:
    np.savez(
        folder / "golden.npz",
        input_0=np.zeros((1, 112, 112, 3), np.float32),
        output_0=np.array([expected], np.float32),
    )
    edit(folder, lambda data: data.update(golden=bundles.File.of(folder / "golden.npz").to_json()))
    bundle, other = bundles.read(folder), np.array([[0.49999, 0.50001]], np.float32)
    if refused:
        with pytest.raises(BundleError, match="another label"):
            bundle.prove(lambda batch: (other,))
    else:
        bundle.prove(lambda batch: (other,))


def test_no_manifest_is_no_bundle(folder: Path) -> None:
    (folder / bundles.MANIFEST).unlink()
    with pytest.raises(BundleError, match="not a bundle, or is still being copied"):
        bundles.read(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', "\x00"])
def test_a_manifest_that_is_not_ours_is_refused(folder: Path, text: str) -> None:
    (folder / bundles.MANIFEST).write_text(text)
    with pytest.raises(BundleError):
        bundles.read(folder)


def test_every_problem_of_a_manifest_is_named_at_once(folder: Path) -> None:
    def spoil(data: dict[str, Any]) -> None:
        data["default_engine"] = "abacus"
        data["golden"]["file"] = "../../etc/passwd"
        data["engines"]["litert"]["size"] = "big"

    edit(folder, spoil)
    with pytest.raises(BundleError) as caught:
        bundles.read(folder)
    for part in ("default_engine is not among engines", "golden names no plain file", "engines.litert lacks size"):
        assert part in caught.value.message


def test_every_problem_of_the_preprocessing_is_named_at_once(folder: Path) -> None:
    edit(folder, lambda data: data["preprocessing"].update(height=0, method="magic", colour="cmyk", zoom=2))
    with pytest.raises(BundleError) as caught:
        bundles.read(folder)
    for part in ("unknown key 'zoom'", "height must be", "method must be one of", "colour must be one of"):
        assert part in caught.value.message


def test_an_engine_without_its_package_names_what_there_is_everywhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a node pip is not the way: provision.sh replaces its environment as a whole."""
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, "model.engines.keras", raising=False)
    with pytest.raises(EngineMissing, match="needs the package 'keras', which is not installed here") as caught:
        engines.load("keras", folder)
    assert "on a node: sudo KILN_EXTRAS=keras deploy/image/provision.sh" in caught.value.message
    assert "pip install" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "file", "extra"),
    [("keras", "keras", "KILN_EXTRAS=keras "), ("litert-int8", "serve", ""), ("onnx", "serve", "")],
)
def test_each_engine_is_installed_by_its_own_requirements(name: str, file: str, extra: str) -> None:
    """The compiled ones serve everywhere; an extra that is asked for takes those away that are not."""
    said = engines.install(name)
    assert said.startswith(f"Install requirements/{file}.txt, or on a node: sudo {extra}deploy/image/provision.sh")
    assert ("name all" in said) == bool(extra)


def test_unknown_engines_are_named(folder: Path) -> None:
    with pytest.raises(EngineMissing, match="it has keras, litert"):
        bundles.read(folder).engine_file("onnx")
    with pytest.raises(EngineMissing, match="Choose one of litert, onnx, keras"):
        engines.load("abacus", folder)
