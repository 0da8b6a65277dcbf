"""The store: a folder of bundles, `<name>/<version>/`, and the versions of it that this process has loaded."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from . import bundle as bundles
from . import engines, preprocess
from .bundle import Bundle
from .errors import ModelError, ModelNotReady, NotAPicture, UnknownModel, UnknownVersion


class State(StrEnum):
    """The life of a version, in TensorFlow Serving's words."""

    START = "START"
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"


@dataclass(frozen=True)
class Model:
    """A version that is proven and ready to answer."""

    bundle: Bundle
    engine_name: str
    engine: engines.Engine
    limits: preprocess.Limits

    def prepare(self, pictures: Sequence[bytes]) -> np.ndarray:
        """Decode pictures to the model's input, (n, height, width, channels).

        Raises NotAPicture where the model takes tensors instead, and the PictureError of the first one that cannot be
        used; with several pictures it says which.
        """
        tensors, how = [], self.bundle.preprocessing
        if how is None:
            raise NotAPicture(f"Model {self.bundle.name!r} takes no pictures. Send its inputs as JSON.")
        for number, data in enumerate(pictures, 1):
            try:
                tensors.append(preprocess.to_tensor(data, how, self.limits))
            except ModelError as error:
                if len(pictures) > 1:
                    raise type(error)(f"Image {number} of {len(pictures)}: {error.message}") from error
                raise
        return tensors[0][np.newaxis] if len(tensors) == 1 else np.stack(tensors)

    def infer(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """The bundle's inputs -> its outputs, both in the bundle's order."""
        return self.engine(*inputs)

    def classify(self, *inputs: np.ndarray) -> np.ndarray:
        """The bundle's inputs -> a score for each label, float32 (n, labels)."""
        return self.bundle.to_scores(self.engine(*inputs)[0])


class Version:
    """One version's state, and its model once AVAILABLE."""

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version
        self.state = State.START
        self.reason = "Not loaded yet."
        self.model: Model | None = None


class Store:
    """Holds the models of one process. Made after fork; `load` may run in a thread of its own."""

    default = ""

    def __init__(self, folder: Path, limits: preprocess.Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._versions: list[Version] = []

    def load(self, name: str, engine: str | None = None) -> Version:
        """Load every version of every model in the folder; `name` is the default one."""
        self.default = name
        for folder in sorted(self._folder.glob("*/*/bundle.json")):
            self._load(Version(folder.parts[-3], folder.parts[-2]), engine)
        if name not in self.names():
            version = Version(name, "")
            version.state, version.reason = State.END, f"{self._folder / name} holds no versions of model {name!r}."
            self._versions.append(version)
        return self.versions(name)[0]

    def _load(self, version: Version, engine: str | None) -> None:
        self._versions.append(version)
        try:
            version.state, version.reason = State.LOADING, "Checking and loading."
            version.model = self._proven(bundles.read(self._folder / version.name / version.version), engine)
            version.state, version.reason = State.AVAILABLE, ""
        except ModelError as error:
            version.state, version.reason = State.END, error.message

    def get(self, name: str = "", version: str | None = None, label: str | None = None, client: str = "") -> Model:
        """The model to answer with. Raises UnknownModel, UnknownVersion or, with the reason, ModelNotReady."""
        name = name or self.default
        if name not in self.names():
            raise UnknownModel(f"There is no model {name!r} here; there is {', '.join(self.names())}.")
        found, labels = self.versions(name), self.labels(name)
        known = ", ".join([*(v.version for v in found), *labels])
        if label is not None:
            if label not in labels:
                raise UnknownVersion(f"Model {name!r} has no label {label!r}; it has {known}.")
            version = labels[label]
        elif version is None:
            split, at = self.split(name), zlib.crc32(client.encode()) % 100
            for target, percent in split.items():
                if at < percent:
                    version = labels.get(target, target)
                    break
                at -= percent
            else:
                version = labels.get("stable")
        chosen = [v for v in found if version in (None, v.version)]
        if not chosen:
            raise UnknownVersion(f"Model {name!r} has no version {version!r}; it has {known}.")
        best = max(chosen, key=lambda v: (v.model is not None, v.version))
        if best.model is None:
            raise ModelNotReady(f"Model {name!r} is not ready: {best.reason}")
        return best.model

    def names(self) -> list[str]:
        """Every model."""
        return sorted({v.name for v in self._versions})

    def versions(self, name: str | None = None) -> list[Version]:
        """Every version that this process knows of, whatever its state."""
        return [v for v in reversed(self._versions) if name in (None, v.name)]

    def labels(self, name: str) -> dict[str, str]:
        """Label -> version."""
        return dict(self._serving(name).get("labels", {}))

    def split(self, name: str) -> dict[str, int]:
        """Version or label -> percent."""
        return dict(self._serving(name).get("split", {}))

    def problem(self, name: str) -> str:
        """Why the model's serving.json is not in force; empty when it is."""
        return ""

    def unready(self) -> dict[str, str]:
        """Model -> why this process should get no requests yet; {} when it should."""
        waiting = [v for v in self._versions if v.state in (State.START, State.LOADING)]
        if not any(v.model for v in self.versions(self.default)):
            waiting += self.versions(self.default)
        return {v.name: v.reason for v in waiting}

    def _serving(self, name: str) -> dict[str, Any]:
        path = self._folder / name / "serving.json"
        return dict(json.loads(path.read_bytes())) if path.is_file() else {}

    def _proven(self, bundle: Bundle, engine_name: str | None) -> Model:
        engine_name = engine_name or bundle.default_engine
        engine = engines.load(engine_name, bundle.check_file(bundle.engine_file(engine_name)))
        bundle.prove(engine)
        return Model(bundle, engine_name, engine, self._limits)
