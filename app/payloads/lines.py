"""SageMaker's forms of a body beside TensorFlow Serving's own: bare lists, JSON lines, CSV -> TensorFlow Serving's."""

from __future__ import annotations

import re
from typing import Any

from ..errors import RequestError
from .instances import load

_KEYS = frozenset({"instances", "inputs", "examples"})
_NUMBERS = re.compile(rb"\s*[-+.0-9\"]")


def from_json(body: bytes) -> dict[str, Any]:
    """A JSON value, or several, one a line, each of which is an instance.

    A list that begins with a list is several instances; every other value without a key of TensorFlow Serving's is one.
    Raises RequestError 400.
    """
    lines = [line for line in body.splitlines() if line.strip()]
    try:
        data = load(body)
    except RequestError:
        if len(lines) < 2 or not _are_values(lines):
            raise
        return {"instances": [load(line) for line in lines]}
    if isinstance(data, dict) and not data.keys().isdisjoint(_KEYS):
        return data
    if isinstance(data, list) and data and isinstance(data[0], list):
        return {"instances": data}
    return {"instances": [data]}


def _are_values(lines: list[bytes]) -> bool:
    """Several values, rather than one that is broken over lines?"""
    return all(line.strip()[-1:] in b"}]" and line.strip()[:1] in b"{[" for line in lines)


def from_csv(body: bytes) -> dict[str, Any]:
    """An instance a line: a list of its cells, the one cell itself where there is no comma.

    Cells are JSON's numbers and texts; where the body begins with neither, all are texts as they stand.
    Raises RequestError 400.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise RequestError(400, "broken_csv", "The CSV is not UTF-8.") from fault
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise RequestError(400, "broken_csv", "The CSV has no line. Send one instance a line.")
    return {"instances": [_cells(line) if _NUMBERS.match(text.encode()) else _texts(line) for line in lines]}


def _cells(line: str) -> Any:
    try:
        cells = load(f"[{line}]".encode())
    except RequestError as fault:
        raise RequestError(
            400, "broken_csv", f"Not numbers or quoted texts, separated by commas: {line[:100]}"
        ) from fault
    return cells if len(cells) > 1 else cells[0]


def _texts(line: str) -> Any:
    cells = line.split(",")
    return cells if len(cells) > 1 else cells[0]
