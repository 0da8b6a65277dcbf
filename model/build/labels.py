"""Labels as users have them."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..bundle import Tensor
from .errors import BuildError

_NUMBERED = re.compile(r"(\d+)[:.,)]?\s+(\S.*)")
_FEW = 100  # below, a label that is there twice is a mistake; ImageNet itself has two cranes and two maillots


def read(spec: str, tell: Callable[[str], None] = lambda _: None) -> tuple[str, ...]:
    """Labels in the order of the model's outputs.

    spec: "cat,dog"; a text file with a label a line, or "0 cat", "1 dog", ...; a JSON list; or a JSON object, of index
    to label or (id, label) as keras.applications has it, or of label to index as Keras' class_indices. tell: called
    with what the user should know. Raises BuildError.
    """
    path = Path(spec)
    if path.suffix == ".json":
        labels = _from_json(path)
    elif path.suffix == ".txt" or path.is_file():
        lines = [line.strip() for line in _text(path).splitlines() if line.strip()]
        labels = _without_numbers(lines)
        if labels != lines:
            tell(f"The lines of {path.name} are numbered from 0 on; the numbers are no part of the labels.")
    else:
        labels = [label.strip() for label in spec.split(",")]
    if not labels or not all(labels):
        raise BuildError(f"--labels {spec}: there is an empty label, or none at all.")
    if twice := _twice(labels):
        raise BuildError(f"--labels {spec}: {', '.join(twice)} is there twice.")
    return tuple(labels)


def _without_numbers(lines: list[str]) -> list[str]:
    """The labels of lines that are all numbered, from 0 on and in order, as Teachable Machine writes them.

    Lines that would be the same without ("0 stars", "1 star", "2 stars") keep their numbers, as all others do.
    """
    found = [_NUMBERED.fullmatch(line) for line in lines]
    numbered = [match for match in found if match]
    if len(numbered) < len(lines) or [int(match[1]) for match in numbered] != list(range(len(lines))):
        return lines
    labels = [match[2] for match in numbered]
    return lines if _twice(labels) else labels


def _twice(labels: Sequence[str]) -> list[str]:
    return sorted({label for label in labels if labels.count(label) > 1}) if len(labels) < _FEW else []


def check(labels: tuple[str, ...], output: Tensor) -> None:
    """The labels must be those of the first output. Raises BuildError."""
    if not labels:
        return
    if output.dtype == "string":
        raise BuildError(f"Labels need a first output of numbers; {output.name!r} is text. Leave --labels out.")
    values = output.shape[-1]
    if len(output.shape) != 2:
        raise BuildError(f"Labels need a first output of (batch, values); {output.name!r} has {list(output.shape)}.")
    wanted = 2 if values == 1 else values
    if len(labels) != wanted:
        outcomes = "one value, the second label's, and so needs 2" if values == 1 else f"{values} values"
        raise BuildError(f"There are {len(labels)} labels, and the model's output {output.name!r} has {outcomes}.")


def _from_json(path: Path) -> list[str]:
    try:
        data = json.loads(_text(path))
    except ValueError as fault:
        raise BuildError(f"--labels: {path} is no JSON: {fault}") from fault
    if isinstance(data, list) and all(isinstance(label, str | int | float) for label in data):
        return [str(label) for label in data]
    if isinstance(data, dict) and all(type(value) is int for value in data.values()):
        return _in_order([(index, label) for label, index in data.items()], path)
    if isinstance(data, dict) and all(key.isdecimal() for key in data):
        return _in_order([(int(key), _label(value)) for key, value in data.items()], path)
    raise BuildError(f'--labels: {path} is neither a list of labels, nor {{"0": "cat", ...}}, nor {{"cat": 0, ...}}.')


def _label(value: Any) -> str:
    return str(value[-1]) if isinstance(value, list) and value else str(value)


def _in_order(pairs: list[tuple[int, str]], path: Path) -> list[str]:
    if sorted(index for index, _ in pairs) != list(range(len(pairs))):
        raise BuildError(f"--labels: the numbers in {path} are not 0 to {len(pairs) - 1}, each once.")
    return [label for _, label in sorted(pairs)]


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # PowerShell's > writes it
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as fault:
        raise BuildError(f"--labels: {path} is no text in UTF-8 or UTF-16. Save it as UTF-8.") from fault
    except OSError as fault:
        raise BuildError(f"--labels: {path} cannot be read: {fault}") from fault
