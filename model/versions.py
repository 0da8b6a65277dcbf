"""A version of a model: its state, and the model itself once it is proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from . import engines, preprocess
from .batching import Batcher
from .bundle import Bundle
from .errors import ModelError, NotAPicture


class State(StrEnum):
    """The life of a version, in TensorFlow Serving's words."""

    START = "START"  # known, and not tried yet; the reason says where that is because its files are still coming
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"


@dataclass(frozen=True, eq=False)
class Model:
    """A version that is proven and ready to answer. Whoever holds it may use it, also after it left the store."""

    bundle: Bundle
    engine_name: str
    engine: engines.Engine
    limits: preprocess.Limits

    @property
    def gathers(self) -> bool:
        """Whether it answers the requests of several threads together."""
        return isinstance(self.engine, Batcher)

    def prepare(self, pictures: Sequence[bytes]) -> np.ndarray:
        """Decode pictures to the model's input, (n, height, width, channels).

        Raises NotAPicture where the model takes tensors instead, and the PictureError of the first one that cannot be
        used; with several pictures it says which.
        """
        tensors, how = [], self.bundle.preprocessing
        if how is None:
            raise NotAPicture(f"Model {self.bundle.name!r} takes no pictures. Send its inputs as JSON.")
        budget = preprocess.Budget(self.limits)
        for number, data in enumerate(pictures, 1):
            try:
                tensors.append(preprocess.to_tensor(data, how, self.limits, budget))
            except ModelError as error:
                if len(pictures) > 1:
                    raise type(error)(f"Image {number} of {len(pictures)}: {error.message}") from error
                raise
        return tensors[0][np.newaxis] if len(tensors) == 1 else np.stack(tensors)

    def infer(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """The bundle's inputs -> its outputs, both in the bundle's order; the first axis is the batch."""
        return self.engine(*inputs)

    def classify(self, *inputs: np.ndarray) -> np.ndarray:
        """The bundle's inputs -> a score for each label, float32 (n, labels)."""
        return self.bundle.to_scores(self.engine(*inputs)[0])


class Version(NamedTuple):
    """One version as it stands. It has a model when it is AVAILABLE, and a reason when something is to be said.

    failed: it is at its END because something is wrong with it, not because nobody wants it.
    """

    name: str
    version: str
    state: State = State.START
    reason: str = "Not loaded yet."
    model: Model | None = None
    failed: bool = False
