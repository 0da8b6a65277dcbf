"""The classification extension: the best classes of an output, with their labels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ..checks import Checks, NotApplicable, expect
from ..server import Reply
from ..subject import Subject
from .talk import (
    CLASSIFICATION,
    Output,
    error,
    extension,
    finite,
    infer_outputs,
    outputs,
    reference,
    usable,
)

CHECKS = Checks("open_inference")
check = CHECKS.check


def scores(subject: Subject) -> tuple[str, np.ndarray]:
    """An output of numbers, [instances, classes]. Raises NotApplicable where there is none, or no extension."""
    extension(subject, "classification")
    usable(subject)
    fixed = {tensor.name for tensor in subject.facts.outputs if not tensor.batches}
    for name, value in reference(subject).items():
        comparable = value.dtype.kind in "iu" or value.dtype in (np.float32, np.float64)
        if value.ndim == 2 and comparable and finite(value) and name not in fixed:
            return name, value
    raise NotApplicable("no output is of finite numbers, FP16 apart, and [instances, classes]")


def _classified(subject: Subject, name: str, count: Any, **parameters: Any) -> Reply:
    return infer_outputs(subject, [{"name": name, "parameters": {"classification": count, **parameters}}])


def _read(output: Output) -> list[list[tuple[float, int]]]:
    """Value and index of each class, best first, of each instance."""
    rows = output.values.reshape(len(output.values), -1)
    parts = [[str(text).split(":", 2) for text in row] for row in rows]
    return [[(float(value), int(index)) for value, index, *_ in row] for row in parts]


@check("classification.best", "classification: 1 gives the best class, value:index[:label]", CLASSIFICATION)
def _(subject: Subject) -> str:
    name, known = scores(subject)
    reply = _classified(subject, name, 1)
    output = outputs(reply)[name]
    expect(output.datatype == "BYTES", f"datatype {output.datatype}")
    expect(output.shape == [len(known), 1], f"shape {output.shape}, expected {[len(known), 1]}")
    for found, row in zip(_read(output), known, strict=True):
        expect(subject.close([found[0][0]], [row.max()]), f"{found} of {row}")
        expect(subject.close([row[found[0][1]]], [row.max()]), f"{found} of {row}")
    return reply.summary()


@check("classification.all", "a number beyond the classes gives all of them, highest value first", CLASSIFICATION)
def _(subject: Subject) -> str:
    name, known = scores(subject)
    reply = _classified(subject, name, known.shape[1] + 5)
    output = outputs(reply)[name]
    expect(output.shape == list(known.shape), f"shape {output.shape}, expected {list(known.shape)}")
    for found, row in zip(_read(output), known, strict=True):
        expect(sorted(index for _, index in found) == list(range(len(row))), f"{found}")
        expect([value for value, _ in found] == sorted((value for value, _ in found), reverse=True), f"{found}")
        expect(subject.close([value for value, _ in found], [row[index] for _, index in found]), f"{found} of {row}")
    return reply.summary()


@check("classification.ties", "classes of one value come lowest index first", CLASSIFICATION, required=False)
def _(subject: Subject) -> str:
    name, known = scores(subject)
    if all(len(set(row)) == len(row) for row in known.tolist()):
        raise NotApplicable("no two classes of an instance have one value")
    reply = _classified(subject, name, known.shape[1])
    for found, row in zip(_read(outputs(reply)[name]), known, strict=True):
        indices = [index for _, index in found]
        tied = [pair for pair in pairwise(indices) if row[pair[0]] == row[pair[1]]]
        expect(all(one < other for one, other in tied), f"{indices} of {row.tolist()}")
    return reply.summary()


@check("classification.binary", "... and binary, with each text's length before it", CLASSIFICATION)
def _(subject: Subject) -> str:
    name, _ = scores(subject)
    extension(subject, "binary_tensor_data")
    reply = _classified(subject, name, 1, binary_data=True)
    output = outputs(reply)[name]
    expect(output.binary, "in JSON")
    plain = outputs(_classified(subject, name, 1))[name]
    expect(_read(output) == _read(plain), f"{output.values} and {plain.values}")
    return f"{output.values.tolist()}"


def _add() -> None:
    bad = [
        ("text", "a number that is text", "one", True),
        ("negative", "a negative number", -1, True),
        ("fraction", "a fraction", 1.5, False),
        ("list", "a list", [1], True),
    ]
    for id, wrong, count, required in bad:

        def judge(subject: Subject, count: Any = count) -> str:
            name, _ = scores(subject)
            return error(subject, _classified(subject, name, count))

        CHECKS.add(f"classification.refuses.{id}", f"refused: {wrong}", CLASSIFICATION, judge, required=required)


_add()


@check("classification.huge", "2**62 classes are all that there are, or an error of the client's", CLASSIFICATION)
def _(subject: Subject) -> str:
    name, _ = scores(subject)
    reply = _classified(subject, name, 2**62)
    expect(reply.status < 500, reply.summary())
    return reply.summary()
