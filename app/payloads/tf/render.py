"""Outputs -> the body of an answer, as TensorFlow Serving writes it: NaN and Infinity are tokens of their own."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from model.store import Model

from .faults import bad

_BYTES = "_bytes"  # the end of the name of an output that holds bytes, not text


def predictions(model: Model, outputs: Sequence[np.ndarray], *, rows: bool) -> bytes:
    """rows: a prediction for each instance; else each output as one. Raises RequestError 400 where outputs have no
    value for each instance."""
    named = {tensor.name: output for tensor, output in zip(model.bundle.outputs, outputs, strict=True)}
    if rows:
        _check_batch(named)
    finite = all(output.dtype.kind != "f" or np.isfinite(output).all() for output in outputs)
    values = {name: as_json(name, output, finite=finite) for name, output in named.items()}
    if len(values) == 1:
        [content] = values.values()
    elif rows:
        content = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    else:
        content = values
    return dumps({"predictions" if rows else "outputs": content}, finite=finite)


def classes(labels: Sequence[str], scores: np.ndarray) -> bytes:
    """The score of each label, in the model's order. scores: (n, labels)."""
    finite = bool(np.isfinite(scores).all())
    rows = as_json("", scores, finite=finite)
    return dumps({"results": [[list(pair) for pair in zip(labels, row, strict=True)] for row in rows]}, finite=finite)


def numbers(values: np.ndarray) -> bytes:
    """A number for each example. values: (n)."""
    finite = bool(np.isfinite(values).all())
    return dumps({"results": as_json("", values, finite=finite)}, finite=finite)


def dumps(content: Any, *, finite: bool = True) -> bytes:
    """JSON; by the slower writer where it must have tokens for what is not finite."""
    if finite:
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def as_json(name: str, output: np.ndarray, *, finite: bool) -> Any:
    """What the writer takes: an array, of which it writes each number with the fewest digits that say it; or lists."""
    if output.dtype.kind in "OSU":
        return np.frompyfunc(_base64 if name.endswith(_BYTES) else _text, 1, 1)(output).tolist()
    if finite:
        return np.ascontiguousarray(output) if output.ndim else output.item()
    if output.dtype.kind == "f":
        output = output.astype(np.str_).astype(np.float64)  # the fewest digits here, too
    return output.tolist()


def _check_batch(named: dict[str, np.ndarray]) -> None:
    first = next(iter(named.values()))
    for name, output in named.items():
        if not output.ndim:
            raise bad(f"Tensor name: {name} has no shape information")
        if len(output) != len(first):
            raise bad(f"Tensor name: {name} has inconsistent batch size: {len(output)} expecting: {len(first)}")


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _base64(value: bytes | str) -> dict[str, str]:
    data = value if isinstance(value, bytes) else value.encode()
    return {"b64": base64.b64encode(data).decode()}
