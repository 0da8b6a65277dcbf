"""A body -> what it asks for: the form alone. What the model takes is looked at in inputs.py and answer.py.

Texts are those that Triton's clients know, so that they can be matched on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, NoReturn

import orjson

from ...errors import RequestError
from ..instances import MOST_PROBLEMS

HEADER = "Inference-Header-Content-Length"
MOST_INPUTS = 1024  # in one request; far more than any model has
_MOST_SIZE = (1 << 63) - 1  # of one dimension
_ONE_OF = (
    "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters'. But {} set for "
    "input '{}'"
)


class Given(NamedTuple):
    """An input as it was sent. data: its JSON, nested or flat; None where it is binary, and then content is that."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any] | None = None
    content: memoryview | None = None


class Wanted(NamedTuple):
    """An output that is asked for. binary: as binary data. classes: how many of the best, with labels; 0 for all of
    its values."""

    name: str
    binary: bool = False
    classes: int = 0


class Asked(NamedTuple):
    """A request. outputs: none stands for all of them, and then binary says how."""

    inputs: list[Given]
    outputs: Sequence[Wanted] = ()
    binary: bool = False
    identity: str | None = None


def json_size(header: str | None, size: int) -> int:
    """Bytes of JSON at the start of a body of `size`. header: Inference-Header-Content-Length; without it, all.

    Raises RequestError 400.
    """
    if header is None:
        return size
    # isdecimal alone would take digits of any script
    if not (header.isascii() and header.isdecimal()):
        refuse("bad_header_length", f"Unable to parse {HEADER}: it must be a number of bytes, not {header[:100]!r}")
    if len(header) > 18 or int(header) > size:
        refuse(
            "bad_header_length",
            f"inference header size should be in range (0, {size}), got: {header[:100]}. {HEADER} counts the bytes of "
            "JSON at the start of the body, before it is compressed",
        )
    return int(header)


def read(body: bytes, size: int, model: str) -> Asked:
    """A body of which `size` bytes are JSON, and the rest binary data. model: its name, for messages.

    What may be left out may be null as well, as MLServer's own types write it.
    Raises RequestError 400 with every problem of its form at once.
    """
    data = _json(body, size)
    problems: list[str] = []
    identity = data.get("id")
    if not (identity is None or isinstance(identity, str)):
        problems.append("'id' must be a string")
    parameters = _parameters(data, "the request", problems)
    problems += [f"parameter '{name[:100]}' is reserved" for name in parameters if name.startswith("triton_")]
    binary = _flag(parameters, "binary_data_output", "the request", problems)
    inputs = _inputs(data, memoryview(body)[size:], model, problems)
    outputs = _outputs(data, binary, problems)
    if problems:
        refuse_all("bad_request", problems)
    return Asked(inputs, outputs, binary, identity)


def refuse_all(code: str, problems: Iterable[str]) -> NoReturn:
    """Raise RequestError 400 that names them."""
    refuse(code, "; ".join(list(problems)[:MOST_PROBLEMS]))


def refuse(code: str, message: str) -> NoReturn:
    """Raise RequestError 400."""
    raise RequestError(400, code, message)


def _json(body: bytes, size: int) -> dict[str, Any]:
    try:
        data = orjson.loads(memoryview(body)[:size])
    except orjson.JSONDecodeError as fault:
        odd = b"NaN" in body[:size] or b"Infinity" in body[:size]
        hint = ". JSON has no NaN and no Infinity: send such values as binary data" if odd else ""
        refuse("broken_json", f"failed to parse the request JSON buffer: {fault}{hint}")
    if not isinstance(data, dict):
        refuse("bad_request", "the request must be a JSON object")
    return data


def _parameters(entry: dict[str, Any], of: str, problems: list[str]) -> dict[str, Any]:
    found = entry.get("parameters")
    if found is None:
        return {}
    if isinstance(found, dict):
        return {name: value for name, value in found.items() if value is not None}
    problems.append(f"'parameters' of {of} must be an object")
    return {}


def _flag(parameters: dict[str, Any], name: str, of: str, problems: list[str], default: bool = False) -> bool:
    value = parameters.get(name, default)
    if isinstance(value, bool):
        return value
    problems.append(f"parameter '{name}' of {of} must be true or false")
    return default


def _entries(data: dict[str, Any], key: str, problems: list[str]) -> list[dict[str, Any]]:
    """The objects with a name of one of the request's lists."""
    entries = [] if data.get(key) is None else data[key]
    if not isinstance(entries, list) or len(entries) > MOST_INPUTS:
        problems.append(f"'{key}' must be a list of at most {MOST_INPUTS}")
        return []
    found = []
    for number, entry in enumerate(entries):
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            found.append(entry)
        else:
            problems.append(f"{key}[{number}] must be an object with a 'name'")
    names = [entry["name"] for entry in found]
    twice = dict.fromkeys(name for name in names if names.count(name) > 1) if len(set(names)) < len(names) else ()
    problems += [f"{key[:-1]} '{name[:100]}' already exists in request" for name in twice]
    return found


def _inputs(data: dict[str, Any], tail: memoryview, model: str, problems: list[str]) -> list[Given]:
    found: list[Given] = []
    at, lost = 0, False  # lost: a size that lies leaves nothing to say of what comes after it
    for entry in _entries(data, "inputs", problems):
        name, shape, datatype = entry["name"], entry.get("shape"), entry.get("datatype")
        shown = name[:100]
        if not isinstance(shape, list) or not all(type(size) is int and 0 <= size <= _MOST_SIZE for size in shape):
            problems.append(f"'shape' of input '{shown}' must be a list of integers from 0 to {_MOST_SIZE}")
            shape = []
        if not isinstance(datatype, str):
            problems.append(f"'datatype' of input '{shown}' must be a string such as \"FP32\"")
            datatype = ""
        parameters = _parameters(entry, f"input '{shown}'", problems)
        if any(key.startswith("shared_memory_") for key in parameters):
            problems.append(f"input '{shown}' is in shared memory, which is not taken here. Send its data")
        values, size = entry.get("data"), parameters.get("binary_data_size")
        content = None
        if (values is None) == (size is None):
            problems.append(_ONE_OF.format("no field was" if values is None else "both were", shown))
        elif size is None:
            if not isinstance(values, list):
                problems.append(f"'data' of input '{shown}' must be a list")
        elif type(size) is not int or size < 0:
            problems.append(f"'binary_data_size' of input '{shown}' must be a number of bytes")
        elif size > len(tail) - at:
            problems.append(
                f"unexpected size for input '{shown}', expecting {size - (len(tail) - at)} additional bytes for model "
                f"'{model}'"
            )
            lost = True
        else:
            content = tail[at : at + size]
            at += size
        found.append(Given(name, datatype, tuple(shape), values, content))
    if at < len(tail) and not lost and not problems:
        problems.append(
            f"unexpected additional input data for model '{model}': {len(tail) - at} bytes are behind the last tensor"
        )
    return found


def _outputs(data: dict[str, Any], binary: bool, problems: list[str]) -> list[Wanted]:
    found = []
    for entry in _entries(data, "outputs", problems):
        of = f"output '{entry['name'][:100]}'"
        parameters = _parameters(entry, of, problems)
        if any(key.startswith("shared_memory_") for key in parameters):
            problems.append(f"{of} is wanted in shared memory, which is not there. Leave it out")
        classes = parameters.get("classification", 0)
        if type(classes) is not int or classes < 0:
            problems.append(f"parameter 'classification' of {of} must be how many classes to answer")
        found.append(Wanted(entry["name"], _flag(parameters, "binary_data", of, problems, binary), classes))
    return found
