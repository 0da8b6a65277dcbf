"""The store: a folder of bundles, `<name>/<version>/`, and the versions of it that this process has loaded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from . import bundle as bundles
from . import engines, preprocess
from .bundle import Bundle
from .errors import ModelError, ModelNotReady, NotAPicture, UnknownModel


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

    def __init__(self, folder: Path, limits: preprocess.Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._versions: dict[str, Version] = {}
        self._lock = threading.Lock()

    def load(self, name: str, engine: str | None = None) -> Version:
        """Load the newest version of `name`: check its files, run its golden inputs, and only then serve it.

        engine: the engine's name; None takes the one that the bundle recommends. A failure does not raise: the
        version ends in state END with the reason, and `get` tells it to whoever asks.
        """
        version = Version(name, "")
        with self._lock:
            self._versions[name] = version
        try:
            folder = self._newest(name)
            version.version = folder.name
            version.state, version.reason = State.LOADING, "Checking and loading."
            version.model = self._proven(bundles.read(folder), engine)
            version.state, version.reason = State.AVAILABLE, ""
        except ModelError as error:
            version.state, version.reason = State.END, error.message
        except Exception as error:  # an engine may raise anything on a file that it cannot read
            version.state, version.reason = State.END, f"{type(error).__name__} while loading; see the log."
            raise
        return version

    def get(self, name: str) -> Model:
        """The model to answer with. Raises UnknownModel or, with the reason, ModelNotReady."""
        version = self._versions.get(name)
        if version is None:
            raise UnknownModel(f"There is no model {name!r} here.")
        if version.model is None:
            raise ModelNotReady(f"Model {name!r} is not ready: {version.reason}")
        return version.model

    def versions(self) -> list[Version]:
        """Every version that this process knows of, whatever its state."""
        with self._lock:
            return list(self._versions.values())

    def _newest(self, name: str) -> Path:
        folder = self._folder / name
        found = [path for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []
        if not found:
            raise UnknownModel(f"{folder} holds no versions (folders named 1, 2, …) of model {name!r}.")
        return max(found, key=lambda path: int(path.name))

    def _proven(self, bundle: Bundle, engine_name: str | None) -> Model:
        engine_name = engine_name or bundle.default_engine
        engine = engines.load(engine_name, bundle.check_file(bundle.engine_file(engine_name)))
        bundle.prove(engine)
        return Model(bundle, engine_name, engine, self._limits)
