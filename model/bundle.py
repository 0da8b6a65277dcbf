"""The bundle on disk: a model version, ready to serve, with all that is needed to prove it.

bundle.json   name, version, labels, preprocessing, files with sha256 and size, how it was built
model.keras   the source model and reference engine
model.tflite  the compiled engine(s)
golden.npz    `inputs` float32 (n, height, width, 3) and `outputs` float32 (n, labels), Keras' own answers
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .engines import Engine
from .errors import BundleError, EngineMissing
from .preprocess import Preprocessing

MANIFEST = "bundle.json"
FORMAT = 1


@dataclass(frozen=True)
class File:
    """A file of the bundle: its name, size in bytes and sha256 in hex."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> File:
        """Describe a file that exists."""
        return cls(path.name, path.stat().st_size, _sha256(path))

    def to_json(self) -> dict[str, Any]:
        """The form kept in bundle.json."""
        return {"file": self.name, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True)
class Bundle:
    """A bundle's manifest, read and checked for form. The files are checked by `check_file` and `prove`."""

    folder: Path
    name: str
    version: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    engines: dict[str, File]
    default_engine: str
    golden: File
    tolerance: float
    built: dict[str, Any]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one instance."""
        return (self.preprocessing.height, self.preprocessing.width, 3)

    def engine_file(self, engine: str) -> File:
        """The compiled file of an engine. Raises EngineMissing when the bundle has none."""
        if engine not in self.engines:
            raise EngineMissing(
                f"{self.name} version {self.version} has no file for engine {engine!r}; "
                f"it has {', '.join(sorted(self.engines))}."
            )
        return self.engines[engine]

    def check_file(self, file: File) -> Path:
        """Compare a file with its recorded size and checksum and return its path. Raises BundleError."""
        path = self.folder / file.name
        if not path.is_file():
            raise BundleError(f"{path} is missing. Copy the whole bundle again.")
        if path.stat().st_size != file.size or _sha256(path) != file.sha256:
            raise BundleError(f"{path} is not the file that was built (checksum differs). Copy the bundle again.")
        return path

    def prove(self, engine: Engine) -> float:
        """Run the golden inputs and compare with the recorded answers; returns the largest difference.

        Raises BundleError when an answer differs by more than the tolerance or names another label.
        """
        with np.load(self.check_file(self.golden)) as golden:
            inputs, expected = golden["inputs"], golden["outputs"]
        answers = engine(inputs)
        if answers.shape != expected.shape:
            raise BundleError(f"The engine answers in shape {answers.shape}; {expected.shape} was recorded.")
        difference = float(np.max(np.abs(answers - expected)))
        if not difference <= self.tolerance:  # also true for NaN
            raise BundleError(
                f"The engine's golden answers differ by {difference:.2g}; {self.tolerance:.2g} is allowed. "
                "Build the bundle again."
            )
        if not np.array_equal(answers.argmax(1), expected.argmax(1)):
            raise BundleError("The engine gives another label on a golden input. Build the bundle again.")
        return difference


def read(folder: Path) -> Bundle:
    """Read `folder`/bundle.json. Raises BundleError naming every problem at once."""
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError as missing:
        raise BundleError(f"{path} is missing; {folder} is not a bundle, or is still being copied.") from missing
    except (OSError, ValueError) as fault:
        raise BundleError(f"{path} cannot be read: {fault}") from fault
    problems = _problems(data)
    if problems:
        raise BundleError(f"{path}: " + "; ".join(problems))
    return Bundle(
        folder=folder,
        name=data["name"],
        version=data["version"],
        labels=tuple(data["labels"]),
        preprocessing=Preprocessing.from_json(data["preprocessing"]),
        engines={engine: _file(entry) for engine, entry in data["engines"].items()},
        default_engine=data["default_engine"],
        golden=_file(data["golden"]),
        tolerance=float(data["tolerance"]),
        built=data["built"],
    )


def write(bundle: Bundle) -> None:
    """Write the manifest, last of all the bundle's files: a folder without it is not a bundle yet."""
    data = {
        "format": FORMAT,
        "name": bundle.name,
        "version": bundle.version,
        "labels": list(bundle.labels),
        "input": {"shape": [None, *bundle.input_shape], "dtype": "float32"},
        "preprocessing": bundle.preprocessing.to_json(),
        "engines": {engine: file.to_json() for engine, file in bundle.engines.items()},
        "default_engine": bundle.default_engine,
        "golden": bundle.golden.to_json(),
        "tolerance": bundle.tolerance,
        "built": bundle.built,
    }
    (bundle.folder / MANIFEST).write_text(json.dumps(data, indent=2) + "\n")


def _file(entry: dict[str, Any]) -> File:
    return File(entry["file"], entry["size"], entry["sha256"])


def _problems(data: Any) -> list[str]:
    if not isinstance(data, dict):
        return ["not a JSON object"]
    if data.get("format") != FORMAT:
        return [f"format is {data.get('format')!r}; this release reads {FORMAT}"]
    kinds: dict[str, type | tuple[type, ...]] = {
        "name": str,
        "version": str,
        "labels": list,
        "preprocessing": dict,
        "engines": dict,
        "default_engine": str,
        "golden": dict,
        "tolerance": (int, float),
        "built": dict,
    }
    found = [
        f"{key} is missing or of the wrong type" for key, kind in kinds.items() if not isinstance(data.get(key), kind)
    ]
    if found:
        return found
    if not data["labels"] or not all(isinstance(label, str) for label in data["labels"]):
        found.append("labels must be a list of strings")
    if data["default_engine"] not in data["engines"]:
        found.append("default_engine is not among engines")
    entries = {"golden": data["golden"], **{f"engines.{name}": entry for name, entry in data["engines"].items()}}
    return found + [f"{name} {fault}" for name, entry in entries.items() for fault in _file_problems(entry)]


def _file_problems(entry: Any) -> list[str]:
    if not isinstance(entry, dict):
        return ["is not an object"]
    name, found = entry.get("file"), []
    if not isinstance(name, str) or not name or Path(name).name != name:
        found.append("names no plain file")  # a path could lead out of the bundle
    if not isinstance(entry.get("size"), int) or not isinstance(entry.get("sha256"), str):
        found.append("lacks size or sha256")
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
