"""SageMaker's forms of a body beside TensorFlow Serving's own: bare lists, JSON lines, CSV -> TensorFlow Serving's."""

from __future__ import annotations

import io
import re
from typing import Any

from model.store import Model

from ..errors import RequestError
from .tf.document import value
from .tf.faults import bad
from .tf.rows import check_count

_KEYS = frozenset({"instances", "inputs", "examples"})
# Within one value there is a comma. No blank fits twice in it: else a run of them takes the square of its length.
_BETWEEN = re.compile(rb"([}\]])[ \t]*[\r\n]\s*([{\[])")
_NUMBERS = re.compile(r"\s*[-+.0-9\"]")


def from_json(body: bytes, most: int) -> dict[str, Any]:
    """A JSON value, or several, one a line, each of which is an instance, of which there may be so many.

    A list that begins with a list is several instances; every other value without a key of TensorFlow Serving's is one.
    Raises RequestError 400.
    """
    if b"\n" in body:
        body, places = _BETWEEN.subn(rb"\1,\2", body, count=most)
        if places == most:
            check_count(1 + most + len(_BETWEEN.findall(body)), "instances", most)
    values = value(b"[%b]" % body)
    if not values:
        raise bad("JSON Parse error: The document is empty.", "broken_json")
    if len(values) > 1:
        return {"instances": values}
    [one] = values
    if isinstance(one, dict) and not one.keys().isdisjoint(_KEYS):
        return one
    return {"instances": one if isinstance(one, list) and one and isinstance(one[0], list) else values}


def from_csv(body: bytes, most: int) -> dict[str, Any]:
    """An instance a line, of which there may be so many: a list of its cells. What the one cell of a line is, the model
    says (`in_form_of`).

    Cells are JSON's numbers and texts; where the body begins with neither, all are texts as they stand.
    Raises RequestError 400.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise bad("The CSV is not UTF-8.", "broken_csv") from fault
    count = sum(not line.isspace() for line in io.StringIO(text, newline=None))
    if not count:
        raise bad("The CSV has no line. Send one instance a line.", "broken_csv")
    check_count(count, "instances", most)
    read = _cells if _NUMBERS.match(text) else _texts
    return {"instances": [read(line.strip()) for line in io.StringIO(text, newline=None) if not line.isspace()]}


def in_form_of(model: Model, document: dict[str, Any]) -> dict[str, Any]:
    """The document of a CSV as the model takes it: where its input is no list of values, a line's one cell is the value
    itself."""
    first, *others = model.bundle.inputs
    if len(first.shape) == 2 and not others:
        return document
    return {"instances": [cells[0] if len(cells) == 1 else cells for cells in document["instances"]]}


def _cells(line: str) -> list[Any]:
    try:
        cells: list[Any] = value(f"[{line}]".encode())
    except RequestError as fault:
        raise bad(f"Not numbers or quoted texts, separated by commas: {line[:100]}", "broken_csv") from fault
    return cells


def _texts(line: str) -> list[Any]:
    return line.split(",")
