"""Requests and answers of the Open Inference Protocol, as every part of its checks makes and reads them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np

from ..checks import (
    REFUSALS,
    UNREADABLE,
    Differs,
    NotApplicable,
    answered,
    expect,
    message,
    refused,
    strict,
    succeeded,
)
from ..describe import by_open_inference
from ..server import NoAnswer, Reply
from ..subject import Subject
from ..tensors import DTYPES, Tensor, from_binary, to_binary, to_json

JSON = {"Content-Type": "application/json"}
LENGTH = "Inference-Header-Content-Length"
NOBODY = "no-such-model"
NEVER = "999999"  # a version that no model has

# Where it is written: the Open Inference Protocol, and Triton's documentation of its extensions.
SPEC = "inference_rest.md"
BINARY = "extension_binary_data.md"
CLASSIFICATION = "extension_classification.md"
REPOSITORY = "extension_model_repository.md"
STATISTICS = "extension_statistics.md"
COMPRESSION = "inference_protocols.md: Compression"


def path(subject: Subject, rest: str = "", *, model: str = "", version: str = "") -> str:
    """A path of the model's: its metadata, or what is below."""
    found = f"/v2/models/{quote(model or subject.model, safe='')}"
    return found + (f"/versions/{version}" if version else "") + rest


# --- What the server says of itself and of the model ----------------------------------------------------------------


def offered(subject: Subject) -> bool:
    """Is there the server's metadata, or a page that says that it lives? A page of HTML says nothing."""
    if isinstance(_object(subject.server.get("/v2")), dict):
        return True
    live = subject.server.get("/v2/health/live")
    return live.status == 200 and (not live.content or isinstance(_object(live), dict))


def _object(reply: Reply) -> object:
    try:
        return succeeded(reply)
    except Differs:
        return None


def metadata(subject: Subject) -> dict[str, Any]:
    """The model's, asked for once."""
    if "metadata" not in subject.memory:
        found = strict(subject.server.get(path(subject)))
        expect(isinstance(found, dict), f"metadata that is no object: {found!r}")
        subject.memory["metadata"] = found
    return subject.memory["metadata"]


def version(subject: Subject) -> str:
    """A version that may be asked for. Raises NotApplicable where there is none."""
    versions = [subject.facts.version] if subject.facts.version else metadata(subject).get("versions")
    if not versions:
        raise NotApplicable("the model's metadata lists no versions")
    return str(versions[-1])


def extension(subject: Subject, *names: str) -> None:
    """Raises NotApplicable unless the server lists one of these extensions, or the kit was told of it."""
    if "extensions" not in subject.memory:
        found = succeeded(subject.server.get("/v2"))
        subject.memory["extensions"] = set(found.get("extensions", ())) if isinstance(found, dict) else set()
    if not set(names) & (subject.memory["extensions"] | subject.extensions):
        raise NotApplicable(f"the server does not list the extension {names[0]}")


# --- Requests -------------------------------------------------------------------------------------------------------


def request(subject: Subject, *, flat: bool = True, count: int | None = None) -> dict[str, Any]:
    """A good request in JSON, for an answer in JSON. Raises NotApplicable where JSON cannot hold both."""
    answer_in_json(subject)
    return json_request(subject, flat=flat, count=count)


def json_request(subject: Subject, *, flat: bool = True, count: int | None = None) -> dict[str, Any]:
    """A good request in JSON, whatever holds the answer. Raises NotApplicable where JSON cannot hold the inputs."""
    by_open_inference(subject)
    values = subject.values() if count is None else subject.values(count)
    return {"inputs": [json_input(tensor, values[tensor.name], flat=flat) for tensor in subject.facts.inputs]}


def json_input(tensor: Tensor, value: np.ndarray, *, flat: bool = True) -> dict[str, Any]:
    """An input in JSON. Raises NotApplicable where JSON cannot hold it."""
    in_json(tensor)
    if tensor.datatype == "BYTES" and not all(_is_text(item) for item in value.flat):
        raise NotApplicable(f"JSON cannot hold the bytes of {tensor.name!r}")
    return _described(tensor, value) | {"data": to_json(value, flat=flat)}


def in_json(tensor: Tensor) -> None:
    """Raises NotApplicable where a tensor's datatype has no form in JSON."""
    if tensor.datatype == "FP16":
        raise NotApplicable(f"FP16, which {tensor.name!r} is of, has no agreed form in JSON")


def answer_in_json(subject: Subject) -> None:
    """Raises NotApplicable where JSON cannot hold every output of a good request: a server may refuse to write it."""
    by_open_inference(subject)
    for tensor in subject.facts.outputs:
        in_json(tensor)
    with contextlib.suppress(NotApplicable, Differs, NoAnswer, *UNREADABLE):
        for name, value in reference(subject).items():
            if not finite(value):
                subject.memory["not finite"] = name
    if "not finite" in subject.memory:
        name = subject.memory["not finite"]
        raise NotApplicable(f"JSON has no NaN and no Infinity, which {name!r} holds here: name examples by --facts")


def finite(value: np.ndarray) -> bool:
    """Is there no NaN and no Infinity among the values?"""
    return value.dtype.kind != "f" or bool(np.isfinite(value).all())


def binary_request(subject: Subject, **parameters: Any) -> tuple[dict[str, Any], list[bytes]]:
    """A good request whose inputs are all binary: its JSON, and the tensors that follow it.

    Where JSON cannot hold the outputs they are asked for in binary, too.
    """
    by_open_inference(subject)
    try:
        answer_in_json(subject)
    except NotApplicable:
        parameters = {"binary_data_output": True} | parameters
    body, tensors = _binary(subject)
    return body | ({"parameters": parameters} if parameters else {}), tensors


def _binary(subject: Subject) -> tuple[dict[str, Any], list[bytes]]:
    inputs, tensors = [], []
    for tensor in subject.facts.inputs:
        value = subject.values()[tensor.name]
        tensors.append(to_binary(value, tensor))
        inputs.append(_described(tensor, value) | {"parameters": {"binary_data_size": len(tensors[-1])}})
    return {"inputs": inputs}, tensors


def _described(tensor: Tensor, value: np.ndarray) -> dict[str, Any]:
    return {"name": tensor.name, "shape": list(value.shape), "datatype": tensor.datatype}


def _is_text(value: Any) -> bool:
    if isinstance(value, bytes):
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
    return True


def infer(subject: Subject, body: dict[str, Any] | bytes, headers: Mapping[str, str] | None = None) -> Reply:
    """Ask the model, in JSON or with any bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return subject.server.post(path(subject, "/infer"), content, JSON if headers is None else headers)


def infer_binary(
    subject: Subject, body: dict[str, Any], tensors: list[bytes], length: int | str | None = None, **headers: str
) -> Reply:
    """Ask with tensors after the JSON. length: what the header says; by default the truth."""
    head = json.dumps(body).encode()
    said = str(len(head) if length is None else length)
    fields = {"Content-Type": "application/octet-stream", LENGTH: said} | headers
    return infer(subject, head + b"".join(tensors), fields)


def good_request(subject: Subject) -> tuple[bytes, dict[str, str]]:
    """Content and headers of a good request: in JSON, or in binary where JSON cannot hold it or its answer.

    Raises NotApplicable where neither can.
    """
    try:
        return json.dumps(request(subject)).encode(), JSON
    except NotApplicable:
        extension(subject, "binary_tensor_data")
        body, tensors = binary_request(subject)
        head = json.dumps(body).encode()
        return head + b"".join(tensors), {"Content-Type": "application/octet-stream", LENGTH: str(len(head))}


def good(subject: Subject) -> Reply:
    """The answer to a good request."""
    return infer(subject, *good_request(subject))


def infer_outputs(subject: Subject, wanted: list[dict[str, Any]]) -> Reply:
    """Ask for these outputs, with inputs in JSON, or in binary where JSON cannot hold them."""
    try:
        return infer(subject, json_request(subject) | {"outputs": wanted})
    except NotApplicable:
        extension(subject, "binary_tensor_data")
        body, tensors = binary_request(subject)
        return infer_binary(subject, body | {"outputs": wanted}, tensors)


# --- Answers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Output:
    """One output of an answer. binary: did it come after the JSON?"""

    datatype: str
    shape: list[int]
    values: np.ndarray
    binary: bool


def outputs(reply: Reply, read: Callable[[Reply], Any] = strict) -> dict[str, Output]:
    """The outputs of a good answer, whose every part is checked. Raises Differs. read: what reads its JSON."""
    body, tail = split(reply, read)
    body = _without_nulls(body)  # some servers write null for what is left out
    expect(isinstance(body, dict) and isinstance(body.get("model_name"), str), f"no model_name: {reply.summary()}")
    expect(isinstance(body.get("outputs"), list), f"no list of outputs: {reply.summary()}")
    found = dict(_outputs(body["outputs"], tail))
    expect(len(found) == len(body["outputs"]), "two outputs of one name")
    return found


def _without_nulls(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _without_nulls(value) for name, value in body.items() if value is not None}
    return [_without_nulls(value) if isinstance(value, dict) else value for value in body] if _holds(body) else body


def _holds(body: Any) -> bool:
    """Is it a list of objects, and not of a tensor's values?"""
    return isinstance(body, list) and bool(body) and isinstance(body[0], dict)


def split(reply: Reply, read: Callable[[Reply], Any] = strict) -> tuple[Any, bytes]:
    """An answer's JSON, and the bytes after it. read: what reads the JSON."""
    expect(reply.status == 200, reply.summary())
    if LENGTH not in reply.headers:
        return read(reply), b""
    length = int(reply.headers[LENGTH])
    expect(0 < length <= len(reply.content), f"{LENGTH}: {length} of {len(reply.content)} bytes")
    return read(Reply(200, {}, reply.content[:length])), reply.content[length:]


def _outputs(listed: list[dict[str, Any]], tail: bytes) -> Iterator[tuple[str, Output]]:
    for output in listed:
        name, datatype, shape = output["name"], output["datatype"], output["shape"]
        expect(isinstance(name, str) and datatype in DTYPES, f"an output {name!r} of datatype {datatype!r}")
        expect(all(type(size) is int and size >= 0 for size in shape), f"the shape of {name!r} is {shape!r}")
        size = output.get("parameters", {}).get("binary_data_size")
        expect((size is None) != ("data" not in output), f"{name!r} needs either data or binary_data_size")
        if size is None:
            values = np.array(output["data"], object).ravel()
            expect(values.size == np.prod(shape, dtype=int), f"{name!r}: {values.size} values in a shape {shape}")
            wrong = [value for value in values if not _is_a(datatype, value)]
            expect(not wrong, f"{name!r} of {datatype} holds {wrong[:1]}")
            values = values if datatype == "BYTES" else values.astype(DTYPES[datatype])
            yield name, Output(datatype, shape, values.reshape(shape), binary=False)
            continue
        expect(size <= len(tail), f"{name!r}: binary_data_size {size}, {len(tail)} bytes left")
        yield name, Output(datatype, shape, from_binary(tail[:size], datatype, shape), binary=True)
        tail = tail[size:]
    expect(not tail, f"{len(tail)} bytes after the last output")


def _is_a(datatype: str, value: Any) -> bool:
    """Is a value in JSON of a datatype? A whole number may have a point; NaN and Infinity may be null."""
    if datatype in ("BOOL", "BYTES"):
        return isinstance(value, bool if datatype == "BOOL" else str)
    if datatype.startswith("FP"):
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    limits = np.iinfo(DTYPES[datatype])
    number = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    return number and limits.min <= value <= limits.max


def values(reply: Reply, read: Callable[[Reply], Any] = strict) -> dict[str, np.ndarray]:
    """The outputs' values by name. read: what reads the answer's JSON."""
    return {name: output.values for name, output in outputs(reply, read).items()}


def reference(subject: Subject) -> dict[str, np.ndarray]:
    """What the model answers to a good request, asked once: in JSON, or in binary both ways what JSON cannot hold.

    Whatever else is the same question must get the same answer. Raises NotApplicable where nothing can hold it.
    """
    if "reference" not in subject.memory:
        subject.memory["reference"] = _asked(subject)
    return subject.memory["reference"]


def _asked(subject: Subject) -> dict[str, np.ndarray]:
    by_open_inference(subject)
    try:
        for tensor in subject.facts.outputs:
            in_json(tensor)
        plain = infer(subject, json_request(subject))
    except NotApplicable:
        extension(subject, "binary_tensor_data")
        return values(_both_binary(subject))
    if plain.status != 200 and (found := _not_finite(subject)):
        return found
    return values(plain, succeeded)


def _not_finite(subject: Subject) -> dict[str, np.ndarray]:
    """Why a good request in JSON was refused: its answer in binary, where that has NaN or Infinity, or nothing."""
    with contextlib.suppress(NotApplicable, Differs, *UNREADABLE):
        extension(subject, "binary_tensor_data")
        found = values(_both_binary(subject))
        if not all(map(finite, found.values())):
            return found
    return {}


def _both_binary(subject: Subject) -> Reply:
    body, tensors = _binary(subject)
    return infer_binary(subject, body | {"parameters": {"binary_data_output": True}}, tensors)


def usable(subject: Subject) -> None:
    """Raises NotApplicable where no good request is answered."""
    answered(reference, subject)


def same(subject: Subject, reply: Reply) -> str:
    """Check that an answer has the values of the reference. Returns the answer."""
    found, known = values(reply), reference(subject)
    if not subject.same(found, known):
        raise Differs(f"other values than the plain request gets: {reply.summary()}")
    return reply.summary()


# --- Errors ---------------------------------------------------------------------------------------------------------


def error(subject: Subject, reply: Reply, statuses: Collection[int] = REFUSALS) -> str:
    """Check the status of an error, and keep its body for `forms`. Returns the answer."""
    subject.memory.setdefault("errors", []).append(reply)
    return refused(reply, statuses)


def forms(subject: Subject) -> str:
    """Check that every error since the last such look had the protocol's form: servers err in all of them alike."""
    replies = [reply for reply in subject.memory.pop("errors", ()) if reply.status >= 400]
    wrong = []
    for reply in replies:
        try:
            message(reply)
        except Differs:
            wrong.append(reply.summary())
    expect(not wrong, f"{len(wrong)} of {len(replies)} errors have another, e.g. {wrong[:1]}")
    return f"{len(replies)} errors"
