"""`./kiln build` as a user runs it: what it prints, what it refuses, and that it can be stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model import bundle as bundles
from model.preprocess import Preprocessing
from tests import old_keras

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

pytestmark = [pytest.mark.unit, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]


def pets(folder: Path) -> None:
    """Two files as tutorials of 2017 left them."""
    layers = old_keras.cats_and_dogs()
    (folder / "pets.json").write_text(old_keras.architecture(layers))
    old_keras.save_weights(folder / "pets.h5", layers, old_keras.cats_and_dogs_weights())


def command(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "model.build", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "KILN_CWD": str(cwd)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=500)
    return process.returncode, out, err


def test_the_command_prints_what_was_found(tmp_path: Path) -> None:
    pets(tmp_path)
    (tmp_path / "labels.txt").write_text("0 cat\n1 dog\n")
    arguments = ("pets.json", "--name", "pets", "--store", "store", "--labels", "labels.txt", "--preprocess", "0..1")
    status, out, err = finished(command(*arguments, cwd=tmp_path))
    assert (status, err) == (0, "")
    for part in (
        "litert",
        "onnx",
        "keras",
        "chosen",
        "multiply-adds",
        "-F image=@/",
        "labels cat, dog",
        "are numbered",
    ):
        assert part in out
    bundle = bundles.read(tmp_path / "store" / "pets" / "1")
    assert bundle.labels == ("cat", "dog")
    assert bundle.preprocessing == Preprocessing(20, 20, range="0..1")


def test_a_range_below_zero_is_a_value_and_no_option(tmp_path: Path) -> None:
    for value in ("-1..1", "-1..1,fit=crop"):
        status, _, err = finished(command("none.keras", "--preprocess", value, "--name", "m", cwd=tmp_path))
        assert (status, err) == (1, f"kiln: {tmp_path / 'none.keras'} does not exist.\n")


def test_every_wrong_option_is_named_at_once(tmp_path: Path) -> None:
    arguments = ("--name", "a/b", "--version", "new", "--photos", "p", "--labels", "a,,b", "--preprocess", "nonsense")
    status, out, err = finished(command("none.keras", *arguments, cwd=tmp_path))
    assert (status, out) == (1, "")
    for part in ("--name 'a/b'", "--version 'new'", "--photos", "--labels a,,b", "'nonsense'", "none.keras does not"):
        assert part in err
    assert "Traceback" not in err
    status, _, err = finished(command("none.keras", "--name", "m", "--scores", "sigmoid", cwd=tmp_path))
    assert (status, "--scores sigmoid needs --labels" in err) == (1, True)


def test_errors_are_json_where_the_result_would_be(tmp_path: Path) -> None:
    status, out, err = finished(command("none.keras", "--name", "m", "--json", cwd=tmp_path))
    assert status == 1
    assert json.loads(out) == {"error": f"{tmp_path / 'none.keras'} does not exist."}
    assert err == f"kiln: {tmp_path / 'none.keras'} does not exist.\n"


def test_what_nobody_foresaw_is_one_line_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "m.keras").touch()
    code = """
from model.build import __main__, loaders

def load(*_, **__):
    raise RuntimeError("in user code:\\n\\n  File 'x.py', line 1\\n\\n  ValueError: The moon is full.")

loaders.load = load
__main__.main()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, "m.keras", "--name", "m", "--json"],
        cwd=ROOT,
        env={**os.environ, "KILN_CWD": str(tmp_path), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    status, out, err = finished(process)
    (kept,) = tmp_path.glob("kiln-build-*.txt")
    wanted = f"The build failed where it should not: RuntimeError: The moon is full. All of it is in {kept}."
    assert (status, json.loads(out)) == (1, {"error": wanted})
    assert err.endswith(f"kiln: {wanted}\n")
    assert "Traceback (most recent call last)" in kept.read_text()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_build_that_is_stopped_leaves_nothing(tmp_path: Path, number: int, status: int) -> None:
    pets(tmp_path)
    process = command("pets.json", "--name", "m", "--store", "store", cwd=tmp_path)
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("store/m/.building-*/*")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        code, out, err = finished(process)
    finally:
        process.kill()
        process.wait()
    assert (code, out, err) == (status, "", "kiln: stopped; the store is as it was.\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pets.h5", "pets.json"]
