"""Requests of rows and columns, as TensorFlow Serving made them known: KServe V1 and SageMaker speak them, too."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

from .checks import Differs, NotApplicable, expect
from .subject import Subject
from .tensors import Tensor

UNCONVERTED = (400, 501)  # statuses of TensorFlow Serving for a datatype that its JSON has not


def cell(value: Any, tensor: Tensor) -> Any:
    """A tensor in JSON: nested lists, with bytes that are no text as {"b64": text}. Without dimensions: its value."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list):
        return [cell(item, tensor) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    return value


def plain_rows(subject: Subject, count: int = 2) -> list[Any]:
    """An item for each instance. Of several inputs it is an object; of one, its value."""
    _any_size(subject)
    (tensor, *more) = subject.facts.inputs
    return named_rows(subject, count) if more else [cell(v, tensor) for v in subject.values(count)[tensor.name]]


def named_rows(subject: Subject, count: int = 2) -> list[dict[str, Any]]:
    """An object for each instance, by the inputs' names."""
    _any_size(subject)
    values = subject.values(count)
    each = range(len(next(iter(values.values()))))
    return [{t.name: cell(values[t.name][i], t) for t in subject.facts.inputs} for i in each]


def columns(subject: Subject) -> dict[str, Any]:
    """A tensor for each input, by its name."""
    return {t.name: cell(subject.values()[t.name], t) for t in subject.facts.inputs}


def several(rows: list[Any]) -> None:
    """Raises NotApplicable where there are not two instances, of which one may be unlike the other."""
    if len(rows) < 2:
        raise NotApplicable("a request has one instance: the model takes no more, or no more examples are known")


def _any_size(subject: Subject) -> None:
    if not subject.facts.inputs:
        raise NotApplicable("no tensors of the model are known: name them by --facts")
    if not all(tensor.shape for tensor in subject.facts.inputs):
        raise NotApplicable("an input has no instances")


def convertible(subject: Subject) -> None:
    """Raises NotApplicable where TensorFlow Serving itself does not read an input of this datatype from JSON."""
    for tensor in subject.facts.inputs:
        if tensor.datatype in ("FP16", "UINT16"):
            raise NotApplicable(f"TensorFlow Serving reads no {tensor.datatype} from JSON, which {tensor.name!r} is of")


def row_by_row(subject: Subject) -> None:
    """Raises NotApplicable where an output has no dimension of instances, and no rows can hold it."""
    whole = [tensor.name for tensor in subject.facts.outputs if not tensor.shape]
    if whole:
        raise NotApplicable(f"the output {whole[0]!r} has no instances: no row can hold it")


def predictions(body: object, count: int) -> list[Any]:
    """The rows of an answer. Raises Differs where they are not as many as the instances."""
    rows = body.get("predictions") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise Differs(f"no list of predictions: {str(body)[:200]}")
    expect(len(rows) == count, f"{len(rows)} predictions of {count} instances")
    return rows


def by_name(subject: Subject, rows: list[Any]) -> dict[str, list[Any]]:
    """Rows as columns. Where every row is an object, by its names; else by the one output's name."""
    if rows and all(isinstance(row, dict) for row in rows):
        return {name: [row[name] for row in rows] for name in rows[0]}
    names = [tensor.name for tensor in subject.facts.outputs] or ["output"]
    expect(len(names) == 1, f"plain values of {len(names)} outputs")
    return {names[0]: rows}


def finite(answer: Any) -> bool:
    """Is there no NaN and no Infinity in an answer?"""
    if isinstance(answer, dict):
        return all(map(finite, answer.values()))
    if isinstance(answer, list):
        return all(map(finite, answer))
    return not isinstance(answer, float) or math.isfinite(answer)


def agree(subject: Subject, one: Any, other: Any) -> bool:
    """Do two answers, of nested lists and objects, mean the same?"""
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other) and all(agree(subject, one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list) and any(isinstance(item, dict) for item in [*one, *other]):
        return len(one) == len(other) and all(map(lambda a, b: agree(subject, a, b), one, other))
    return subject.close(one, other)
