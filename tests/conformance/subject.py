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
            for pair in (pair for pairs in data.get("pairs", {}).values() for pair in pairs):
                pair["path"], pair["status"]
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
        """An array for each input. Where the model takes any number of instances: `count`, or those that are known.

        Raises FactsError where an example does not fit its input.
        """
        known = self.facts.examples
        found = {
            tensor.name: _example(tensor, known[tensor.name])
            if tensor.name in known
            else made_up(tensor, INSTANCES, self.photo)
            for tensor in self.facts.inputs
        }
        count = min([count, *(len(found[tensor.name]) for tensor in self.facts.inputs if tensor.batches)])
        return {
            tensor.name: found[tensor.name][:count] if tensor.batches else found[tensor.name]
            for tensor in self.facts.inputs
        }

    def answers(self) -> dict[str, Any]:
        """The answers to these values, as the facts tell them; they may tell more, of more examples."""
        counts = [
            len(value)
            for tensor, value in zip(self.facts.inputs, self.values().values(), strict=True)
            if tensor.batches
        ]
        whole = {tensor.name for tensor in self.facts.outputs if not tensor.batches}
        return {
            name: value[: min(counts)] if counts and name not in whole else value
            for name, value in self.facts.answers.items()
        }

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
        kinds = a.dtype.kind + b.dtype.kind
        if "f" in kinds and set(kinds) <= set("fiub"):
            tolerance = self.facts.tolerance
            return np.allclose(a.astype(float), b.astype(float), rtol=tolerance, atol=tolerance, equal_nan=True)
        return bool((a == b).all())


def _example(tensor: Tensor, example: Any) -> np.ndarray:
    """An input's example as an array. Raises FactsError where it is none."""
    try:
        value = np.array(example, object if tensor.datatype == "BYTES" else tensor.dtype)
    except (OverflowError, TypeError, ValueError) as error:
        raise FactsError(f"the example of {tensor.name!r} is no {tensor.datatype}: {error}") from error
    fits = value.ndim == len(tensor.shape) and all(
        told in (-1, size) for told, size in zip(tensor.shape, value.shape, strict=True)
    )
    if not fits or not value.size:
        raise FactsError(f"the example of {tensor.name!r} has shape {list(value.shape)}, not {list(tensor.shape)}")
    return value
