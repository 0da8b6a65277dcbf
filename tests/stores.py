"""Stores for tests: copies of the shipped bundle under other numbers, with answers that tell them apart."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle import MANIFEST, File

SHIPPED = Path(__file__).parents[1] / "model" / "store" / "catdog" / "1"


def add(
    store: Path, version: str, *, name: str = "catdog", mark: str = "", damage: Callable[[Path], None] | None = None
) -> Path:
    """Put a whole bundle into a store at once. mark: what its first label becomes, by default `v<version>`.

    damage: what is done to it before; done afterwards, a server may have loaded it already.
    """
    target = prepared(store / ".prepared", version, mark=mark)
    if damage:
        damage(target)
    folder = store / name / version
    folder.parent.mkdir(parents=True, exist_ok=True)
    target.rename(folder)
    return folder


def prepared(folder: Path, version: str, *, mark: str = "") -> Path:
    """A bundle beside the store, to be copied into it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SHIPPED, folder)
    edit(folder, lambda data: data.update(version=version, labels=[mark or f"v{version}", "other"]))
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest."""
    path = folder / MANIFEST
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def corrupt(folder: Path) -> None:
    """Change one byte of the engine's file in the middle; its size stays."""
    file = folder / "model.tflite"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def lie(folder: Path) -> None:
    """Record other golden answers than the engine gives; every checksum holds."""
    with np.load(folder / "golden.npz") as golden:
        arrays = dict(golden)
    np.savez(folder / "golden.npz", **arrays | {"output_0": arrays["output_0"][:, ::-1]})
    edit(folder, lambda data: data.update(golden=File.of(folder / "golden.npz").to_json()))


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root reads everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def shut(folder: Path) -> Iterator[None]:
    """Nobody may look into it meanwhile."""
    folder.chmod(0)
    try:
        yield
    finally:
        folder.chmod(0o755)
