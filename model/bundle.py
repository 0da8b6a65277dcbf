"""The bundle on disk: a model version, ready to serve, with all that is needed to prove it.

bundle.json   name, version, labels, inputs, outputs, preprocessing, files with sha256 and size, how it was built
model.keras   the source model and reference engine
model.tflite  the compiled engine(s)
golden.npz    inputs, and Keras' own answers to them; see golden.py
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import golden
from .engines import Engine
from .errors import BundleError, EngineMissing
from .preprocess import Preprocessing

MANIFEST = "bundle.json"
FORMAT = 2
SCORES = ("as_is", "softmax", "sigmoid")
SMALLEST_SCALE = 1e-3  # answers below this are taken to be of this size: a difference from zero has no other measure


class File(NamedTuple):
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


class Tensor(NamedTuple):
    """An input or output: its name, numpy dtype ("string" for text), and shape; None where the size varies.

    The first axis is the batch.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Tensor:
        """Read the form kept in bundle.json."""
        return cls(entry["name"], entry["dtype"], tuple(entry["shape"]))

    def to_json(self) -> dict[str, Any]:
        """The form kept in bundle.json."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}


class Candidate(NamedTuple):
    """What the build found out about one engine for this model, kept or thrown out.

    engine: as in engines.NAMES. outcome: "chosen", "kept", "thrown out" (it differs from Keras) or "failed" (no file).
    reason: why it was not chosen, in a sentence; empty for the chosen one.
    size: bytes. largest, mean: difference from Keras' answers, each output's as a part of its largest answer.
    tolerance: the largest difference allowed, in the same unit. agreement: part of the instances whose largest value is
    at the same place as Keras', 0..1. milliseconds: for one call at each batch size, one thread, on the machine that
    built. What was not measured is None.
    """

    engine: str
    outcome: str
    reason: str = ""
    size: int | None = None
    largest: float | None = None
    mean: float | None = None
    tolerance: float | None = None
    agreement: float | None = None
    milliseconds: dict[str, float] | None = None

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Candidate:
        """Read the form kept in bundle.json."""
        return cls(**entry)

    def to_json(self) -> dict[str, Any]:
        """The form kept in bundle.json."""
        return self._asdict()


class Bundle(NamedTuple):
    """A bundle's manifest, read and checked for form. The files are checked by `check_file` and `prove`.

    labels: those of the first output's values, or of its two outcomes where it has one value; none where the model
    does not classify. scores: how its values become scores ("as_is", "softmax", "sigmoid").
    preprocessing: how a picture becomes the one input; None where the model takes tensors.
    tolerance: the largest difference from Keras' answers that is allowed, as a part of each output's largest answer;
    a candidate may have one of its own. candidates: the engines that were tried.
    """

    folder: Path
    name: str
    version: str
    labels: tuple[str, ...]
    scores: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    preprocessing: Preprocessing | None
    engines: dict[str, File]
    default_engine: str
    golden: File
    tolerance: float
    built: dict[str, Any]
    candidates: tuple[Candidate, ...] = ()

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

    def prove(self, engine: Engine, name: str | None = None) -> float:
        """Run the golden inputs and compare with the recorded answers; returns the largest difference.

        name: the engine's, whose own tolerance then holds; its weights may be stored with fewer bits.
        Raises BundleError when an answer differs by more than the tolerance or names another label.
        """
        inputs, expected = self.golden_tensors()
        answers = engine(*inputs)
        differences = []
        for tensor, answer, wanted in zip(self.outputs, answers, expected, strict=True):
            if answer.shape != wanted.shape:
                raise BundleError(f"{tensor.name} has shape {answer.shape}; {wanted.shape} was recorded.")
            differences.append(largest_difference(answer, wanted))
        difference, tolerance = float(np.max(differences)), self.tolerance_of(name)
        if not difference <= tolerance:  # also true for NaN
            raise BundleError(
                f"The engine's golden answers differ by {difference:.2g}; {tolerance:.2g} is allowed. "
                "Build the bundle again."
            )
        if self.labels and not agree(self.to_scores(answers[0]), self.to_scores(expected[0]), tolerance).all():
            raise BundleError("The engine gives another label on a golden input. Build the bundle again.")
        return difference

    def tolerance_of(self, engine: str | None) -> float:
        """The engine's own tolerance where it has one, else the bundle's."""
        own = (entry.tolerance for entry in self.candidates if entry.engine == engine and entry.tolerance is not None)
        return next(own, self.tolerance)

    def golden_tensors(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """(inputs, outputs) of golden.npz. Raises BundleError."""
        return golden.read(self.check_file(self.golden), len(self.inputs), len(self.outputs))

    def to_scores(self, values: np.ndarray) -> np.ndarray:
        """The first output, float (n, labels) or (n, 1) for one of two -> a score for each label, float32."""
        if self.scores == "softmax":
            values = np.exp(values - values.max(-1, keepdims=True))
            values /= values.sum(-1, keepdims=True)
        elif self.scores == "sigmoid":
            values = 1 / (1 + np.exp(-values))
        if values.shape[-1] == 1:
            values = np.concatenate([1 - values, values], -1)
        return values.astype(np.float32, copy=False)


def differences(answer: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """|answer - wanted| of two arrays of one shape, as a part of the largest wanted value; NaN where only one is NaN.

    What a difference means depends on the size of the answers: 0.001 is nothing in a box of 300 pixels and everything
    among a thousand even scores. Text either agrees (0) or does not (infinity).
    """
    if wanted.dtype.kind in "OSU":
        return np.where(as_text(answer) == as_text(wanted), 0.0, np.inf)
    answer, wanted = answer.astype(np.float64), wanted.astype(np.float64)
    scale = max(float(np.max(np.abs(wanted), initial=0, where=np.isfinite(wanted))), SMALLEST_SCALE)
    same = (answer == wanted) | (np.isnan(answer) & np.isnan(wanted))
    with np.errstate(invalid="ignore"):  # infinity less infinity
        return np.where(same, 0.0, np.abs(answer - wanted) / scale)


def as_text(values: np.ndarray) -> np.ndarray:
    """Text in any of NumPy's forms (objects, bytes, str) -> str, the one form that .npz files hold without pickling."""
    decoded = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in values.ravel()]
    return np.array(decoded, np.str_).reshape(values.shape)


def is_bytes(values: np.ndarray) -> bool:
    """Are there bytes among these texts that are no UTF-8: files of pictures, tf.Example?"""
    try:
        for value in values.ravel():
            if isinstance(value, bytes):
                value.decode()
    except UnicodeDecodeError:
        return True
    return False


def largest_difference(answer: np.ndarray, wanted: np.ndarray) -> float:
    """The largest of `differences`; NaN where there is one."""
    return float(np.max(differences(answer, wanted), initial=0))


def agree(answer: np.ndarray, wanted: np.ndarray, tolerance: float) -> np.ndarray:
    """Whether the largest value is at the same place, for each of (n, values) -> bool (n,).

    It may be elsewhere where Keras' own value there is within the tolerance of its largest: that is a tie.
    """
    best = np.take_along_axis(wanted, answer.argmax(-1)[..., np.newaxis], -1)[..., 0]
    scale = max(float(np.max(np.abs(wanted), initial=0)), SMALLEST_SCALE)
    agreed: np.ndarray = wanted.max(-1) - best <= tolerance * scale
    return agreed


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
        scores=data["scores"],
        inputs=tuple(map(Tensor.from_json, data["inputs"])),
        outputs=tuple(map(Tensor.from_json, data["outputs"])),
        preprocessing=Preprocessing.from_json(data["preprocessing"]) if data["preprocessing"] else None,
        engines={engine: _file(entry) for engine, entry in data["engines"].items()},
        default_engine=data["default_engine"],
        golden=_file(data["golden"]),
        tolerance=float(data["tolerance"]),
        built=data["built"],
        candidates=tuple(map(Candidate.from_json, data.get("candidates", []))),
    )


def write(bundle: Bundle) -> None:
    """Write the manifest, last of all the bundle's files: a folder without it is not a bundle yet."""
    data = {
        "format": FORMAT,
        "name": bundle.name,
        "version": bundle.version,
        "labels": list(bundle.labels),
        "scores": bundle.scores,
        "inputs": [tensor.to_json() for tensor in bundle.inputs],
        "outputs": [tensor.to_json() for tensor in bundle.outputs],
        "preprocessing": bundle.preprocessing.to_json() if bundle.preprocessing else None,
        "engines": {engine: file.to_json() for engine, file in bundle.engines.items()},
        "default_engine": bundle.default_engine,
        "golden": bundle.golden.to_json(),
        "tolerance": bundle.tolerance,
        "built": bundle.built,
        "candidates": [candidate.to_json() for candidate in bundle.candidates],
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
        "inputs": list,
        "outputs": list,
        "preprocessing": (dict, type(None)),
        "engines": dict,
        "default_engine": str,
        "golden": dict,
        "tolerance": (int, float),
        "built": dict,
    }
    if "candidates" in data:
        kinds["candidates"] = list
    found = [
        f"{key} is missing or of the wrong type" for key, kind in kinds.items() if not isinstance(data.get(key), kind)
    ]
    if found:
        return found
    if not all(isinstance(label, str) for label in data["labels"]):
        found.append("labels must be a list of strings")
    if data.get("scores") not in SCORES:
        found.append(f"scores must be one of {', '.join(SCORES)}")
    tensors = [(which, entry) for which in ("inputs", "outputs") for entry in data[which]]
    found += [f"{which} holds something that is no tensor" for which, entry in tensors if not _is_tensor(entry)]
    if not all(map(_is_candidate, data.get("candidates", ()))):
        found.append("candidates holds something that is none")
    if not data["inputs"] or not data["outputs"]:
        found.append("inputs and outputs must name at least one tensor each")
    if data["preprocessing"] and len(data["inputs"]) != 1:
        found.append("preprocessing makes one input of a picture, and there are several")
    if data["default_engine"] not in data["engines"]:
        found.append("default_engine is not among engines")
    entries = {"golden": data["golden"], **{f"engines.{name}": entry for name, entry in data["engines"].items()}}
    return found + [f"{name} {fault}" for name, entry in entries.items() for fault in _file_problems(entry)]


def _is_tensor(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("dtype"), str)
        and isinstance(entry.get("shape"), list)
        and all(size is None or isinstance(size, int) for size in entry["shape"])
    )


def _is_candidate(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() <= set(Candidate._fields)
        and isinstance(entry.get("engine"), str)
        and isinstance(entry.get("outcome"), str)
        and isinstance(entry.get("tolerance"), int | float | None)
    )


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
