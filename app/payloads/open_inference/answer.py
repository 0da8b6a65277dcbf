"""Outputs of a model -> the body of an answer: JSON, and what is wanted as binary data behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from model.store import Model

from ...dialects import Answer
from . import strings
from .classification import classified, classifies
from .datatypes import BYTES, HALF, named, wire
from .request import HEADER, Asked, Wanted, refuse, refuse_all

_BINARY = "application/octet-stream"


def wanted(asked: Asked, model: Model) -> Sequence[Wanted]:
    """What is to be answered: the outputs that were asked for, or all.

    Raises RequestError 400 with every one that there is not or that cannot be had so: before anything is computed.
    """
    bundle = model.bundle
    declared = {tensor.name: tensor for tensor in bundle.outputs}
    chosen = asked.outputs or [Wanted(name, asked.binary) for name in declared]
    problems = []
    for one in chosen:
        tensor = declared.get(one.name)
        if tensor is None:
            problems.append(
                f"unexpected inference output '{one.name[:100]}' for model '{bundle.name}'; "
                f"it has {', '.join(declared)}"
            )
        elif one.classes:
            if not classifies(tensor.dtype):
                problems.append(
                    f"class result not available for output '{one.name}' due to unsupported type "
                    f"'{named(tensor.dtype)}'"
                )
        elif named(tensor.dtype) == HALF and not one.binary:
            problems.append(
                f"sending FP16 data via JSON is not supported. Please use the binary data format for output "
                f"'{one.name}'"
            )
    if problems:
        refuse_all("bad_outputs", problems)
    return chosen


def rendered(chosen: Sequence[Wanted], outputs: Sequence[np.ndarray], model: Model, identity: str | None) -> Answer:
    """The answer. chosen: see `wanted`. outputs: all of the model's, in the bundle's order. identity: the request's
    "id". Raises RequestError 400 where JSON cannot hold what an output has.
    """
    bundle = model.bundle
    places = {tensor.name: place for place, tensor in enumerate(bundle.outputs)}
    entries: list[dict[str, Any]] = []
    parts: list[Any] = []
    for one in chosen:
        place = places[one.name]
        tensor, values = bundle.outputs[place], outputs[place]
        datatype = named(tensor.dtype)
        if one.classes:
            values, datatype = classified(values, one.classes, model, place), BYTES
        entry: dict[str, Any] = {"name": one.name, "datatype": datatype, "shape": list(values.shape)}
        if one.binary:
            content = _packed(values, tensor.dtype if datatype != BYTES else "string")
            entry["parameters"] = {"binary_data_size": len(content)}
            parts.append(content)
        else:
            entry["data"] = _listed(values, one.name)
        entries.append(entry)
    body = {"model_name": bundle.name, "model_version": bundle.version}
    whole = orjson.dumps(
        body | ({} if identity is None else {"id": identity}) | {"outputs": entries},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    if not parts:
        return Answer(whole)
    return Answer(b"".join([whole, *parts]), _BINARY, ((HEADER, str(len(whole))),))


def _packed(values: np.ndarray, dtype: str) -> bytes:
    return (
        strings.pack(values.ravel().tolist()) if dtype == "string" else values.astype(wire(dtype), copy=False).tobytes()
    )


def _listed(values: np.ndarray, name: str) -> Any:
    """Flat, as orjson takes it."""
    if values.dtype.kind in "OSU":
        try:
            return [value.decode() if isinstance(value, bytes) else value for value in values.ravel().tolist()]
        except UnicodeDecodeError:
            refuse("not_json", f"output '{name}' is not all UTF-8, which JSON needs. Ask for it as binary data")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        refuse(
            "not_json", f"output '{name}' holds NaN or Infinity, which JSON does not have. Ask for it as binary data"
        )
    return np.ascontiguousarray(values).reshape(-1)
