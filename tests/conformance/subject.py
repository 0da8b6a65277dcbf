"""What is judged: a server, one of its models, and what is known of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .server import Server
from .tensors import Tensor, made_up, nested

INSTANCES = 2  # in a request, where the model takes any number


class FactsError(ValueError):
    """The file of facts is not as README.md says."""


@dataclass
class Facts:
    """What is known of the model.

    inputs, outputs: its tensors; their first dimension is the batch's.
    examples: values of each input that the model understands. What is missing is made up.
    answers: values of the outputs for the examples, where they are known.
    version, label: of the model, where it has some.
    tolerance: largest difference of two floats that mean the same, relative to their size.
    pairs: by dialect, requests with the answers that they must get.
    """

    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    examples: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    label: str = ""
    tolerance: float = 1e-4
    pairs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Facts:
        """From a JSON file. Raises FactsError, which names what is wrong."""
        try:
            data = json.loads(path.read_text())
            tensors = {
                key: tuple(Tensor(t["name"], t["datatype"], tuple(t["shape"])) for t in data.pop(key, ()))
                for key in ("inputs", "outputs")
            }
            return cls(**tensors, **data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FactsError(f"{path} holds no facts of a model: {type(error).__name__}: {error}") from error


@dataclass
class Subject:
    """A server, one of its models, and what is known of it.

    photo: a file's content for inputs of bytes, e.g. a JPEG.
    extensions: what the kit was told that the server has.
    may_unload: the kit may take the model away for a moment.
    memory: what a dialect found out and keeps for its next checks.
    """

    server: Server
    model: str
    facts: Facts = field(default_factory=Facts)
    photo: bytes = b""
    extensions: frozenset[str] = frozenset()
    may_unload: bool = False
    memory: dict[str, Any] = field(default_factory=dict)

    def values(self, count: int = INSTANCES) -> dict[str, np.ndarray]:
        """An array for each input, with `count` instances where the model takes any number."""
        found = {}
        for tensor in self.facts.inputs:
            if tensor.name in self.facts.examples:
                dtype = tensor.dtype if tensor.datatype != "BYTES" else object
                value = np.array(self.facts.examples[tensor.name], dtype)
            else:
                value = made_up(tensor, INSTANCES, self.photo)
            found[tensor.name] = value[:count] if tensor.batches else value
        return found

    def batches(self) -> bool:
        """Does every input and output take any number of instances?"""
        tensors = (*self.facts.inputs, *self.facts.outputs)
        return bool(tensors) and all(tensor.batches for tensor in tensors)

    def same(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Do two sets of tensors mean the same?"""
        return set(one) == set(other) and all(self.close(one[name], other[name]) for name in one)

    def close(self, one: Any, other: Any) -> bool:
        """Do two tensors, or nested lists, mean the same?"""
        a, b = np.asarray(nested(one)), np.asarray(nested(other))
        if a.shape != b.shape:
            return False
        if a.dtype.kind in "fiub" and b.dtype.kind in "fiub":
            tolerance = self.facts.tolerance
            return np.allclose(a.astype(float), b.astype(float), rtol=tolerance, atol=tolerance, equal_nan=True)
        return bool((a == b).all())
