"""The binary tensor data extension: tensors after the JSON, both ways, and sizes that lie."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from ..checks import Checks, Differs, NotApplicable, expect
from ..describe import by_open_inference
from ..server import Reply
from ..subject import Subject
from ..tensors import to_binary
from .talk import (
    BINARY,
    JSON,
    LENGTH,
    answer_in_json,
    binary_request,
    error,
    extension,
    finite,
    forms,
    infer,
    infer_binary,
    infer_outputs,
    json_input,
    json_request,
    outputs,
    reference,
    request,
    same,
    split,
    usable,
)

CHECKS = Checks("open_inference")
check = CHECKS.check


def applicable(subject: Subject) -> None:
    """Raises NotApplicable where the server has no such extension."""
    extension(subject, "binary_tensor_data")


def _all_binary(subject: Subject, reply: Reply) -> str:
    """The reference's values, none of them in JSON."""
    said = same(subject, reply)
    in_json = [name for name, output in outputs(reply).items() if not output.binary]
    if in_json:
        raise Differs(f"in JSON: {', '.join(in_json)}")
    return said


def _wants(subject: Subject, binary: bool = True) -> list[dict[str, Any]]:
    return [{"name": name, "parameters": {"binary_data": binary}} for name in reference(subject)]


# --- Good requests --------------------------------------------------------------------------------------------------


@check("binary.both", "binary inputs, binary outputs: what the stock client sends by default", BINARY)
def _(subject: Subject) -> str:
    applicable(subject)
    return _all_binary(subject, infer_binary(subject, *binary_request(subject, binary_data_output=True)))


@check("binary.inputs", "binary inputs, outputs in JSON", BINARY)
def _(subject: Subject) -> str:
    applicable(subject)
    answer_in_json(subject)
    return same(subject, infer_binary(subject, *binary_request(subject)))


@check("binary.outputs", "inputs in JSON without the length header, outputs asked for one by one, binary", BINARY)
def _(subject: Subject) -> str:
    applicable(subject)
    return _all_binary(subject, infer(subject, json_request(subject) | {"outputs": _wants(subject)}))


@check("binary.output_wins", "an output's own binary_data: false wins over binary_data_output", BINARY, required=False)
def _(subject: Subject) -> str:
    applicable(subject)
    body = request(subject) | {"parameters": {"binary_data_output": True}, "outputs": _wants(subject, binary=False)}
    reply = infer(subject, body)
    found = same(subject, reply)
    expect(not any(output.binary for output in outputs(reply).values()), found)
    return found


@check("binary.one_of_several_outputs", "one output binary, the others in JSON", BINARY)
def _(subject: Subject) -> str:
    applicable(subject)
    known = reference(subject)
    if len(known) < 2:
        raise NotApplicable("the model has one output")
    plain = [name for name, value in known.items() if finite(value) and value.dtype != np.float16]
    if not plain:
        raise NotApplicable("JSON can hold no output: each is of FP16, or holds NaN or Infinity")
    wanted = [{"name": name, "parameters": {"binary_data": name != plain[0]}} for name in known]
    reply = infer_outputs(subject, wanted)
    same(subject, reply)
    came = {name: output.binary for name, output in outputs(reply).items()}
    expect(came == {name: name != plain[0] for name in known}, f"binary: {came}")
    return f"binary: {came}"


@check("binary.one_of_several_inputs", "an input in JSON takes no bytes of those after the JSON", BINARY)
def _(subject: Subject) -> str:
    applicable(subject)
    body, tensors = binary_request(subject)
    if len(tensors) < 2:
        raise NotApplicable("the model has one input")
    for i, tensor in enumerate(subject.facts.inputs):
        with contextlib.suppress(NotApplicable):
            body["inputs"][i] = json_input(tensor, subject.values()[tensor.name])
            return same(subject, infer_binary(subject, body, tensors[:i] + tensors[i + 1 :]))
    raise NotApplicable("JSON can hold no input")


@check("binary.length", "the answer's header tells the length of its JSON, and it is no application/json", BINARY)
def _(subject: Subject) -> str:
    applicable(subject)
    reply = infer_binary(subject, *binary_request(subject, binary_data_output=True))
    expect(LENGTH in reply.headers, f"no {LENGTH}: {reply.summary()}")
    split(reply)
    expect(reply.kind == "application/octet-stream", f"Content-Type: {reply.kind!r}")
    return f"{LENGTH}: {reply.headers[LENGTH]} of {len(reply.content)} bytes"


@check("binary.no_content_type", "the length header alone decides: no Content-Type, as of Triton's client", BINARY)
def _(subject: Subject) -> str:
    applicable(subject)
    body, tensors = binary_request(subject)
    head = json.dumps(body).encode()
    return same(subject, infer(subject, head + b"".join(tensors), {LENGTH: str(len(head))}))


@check("binary.json_content_type", "... also where Content-Type is application/json", BINARY, required=False)
def _(subject: Subject) -> str:
    applicable(subject)
    return same(subject, infer_binary(subject, *binary_request(subject), **JSON))


@check("binary.only_json", "the length header of a request that has nothing after its JSON", BINARY)
def _(subject: Subject) -> str:
    applicable(subject)
    return same(subject, infer_binary(subject, request(subject), []))


@check("binary.empty_batch", "no instance at all: an answer of none, or an error of the client's", BINARY)
def _(subject: Subject) -> str:
    applicable(subject)
    usable(subject)
    body, _ = binary_request(subject)
    if not subject.batches():
        raise NotApplicable("the model takes a fixed number of instances")
    for given in body["inputs"]:
        given["shape"][0], given["parameters"]["binary_data_size"] = 0, 0
    reply = infer_binary(subject, body, [])
    expect(reply.status < 500, reply.summary())
    return reply.summary()


# --- Raw requests ---------------------------------------------------------------------------------------------------


def _raw(subject: Subject) -> bytes:
    """One instance of the one input. Raises NotApplicable where the model is of no such kind."""
    applicable(subject)
    by_open_inference(subject)
    if len(subject.facts.inputs) != 1:
        raise NotApplicable("the model has several inputs")
    (tensor,) = subject.facts.inputs
    if not tensor.batches or -1 in tensor.shape[1:]:
        raise NotApplicable("another dimension than the batch's varies")
    value = subject.values(1)[tensor.name]
    if tensor.datatype == "BYTES":
        if value.size != 1:
            raise NotApplicable("an instance holds several values of bytes")
        return to_binary(value, tensor)[4:]
    return to_binary(value, tensor)


def _send_raw(subject: Subject, content: bytes) -> Reply:
    return infer(subject, content, {"Content-Type": "application/octet-stream", LENGTH: "0"})


@check("binary.raw", "a raw request: a length of 0, and one instance's bytes", f"{BINARY}: Raw Binary Request")
def _(subject: Subject) -> str:
    content, known = _raw(subject), reference(subject)
    if not subject.batches():
        raise NotApplicable("an output has no instances, or a fixed number")
    reply = _send_raw(subject, content)
    found = outputs(reply)
    values = {name: output.values for name, output in found.items()}
    expect(subject.same(values, {name: value[:1] for name, value in known.items()}), reply.summary())
    expect(all(output.binary for output in found.values()), "outputs in JSON")
    return reply.summary()


@check("binary.raw_photo", "the photo as it is, as a raw request", f"{BINARY}: Raw Binary Request", required=False)
def _(subject: Subject) -> str:
    applicable(subject)
    if not subject.photo:
        raise NotApplicable("only with --photo")
    reply = _send_raw(subject, subject.photo)
    outputs(reply)
    return reply.summary()


@check("binary.raw_short", "refused: a raw request of too few bytes", f"{BINARY}: Raw Binary Request")
def _(subject: Subject) -> str:
    content = _raw(subject)
    if subject.facts.inputs[0].datatype == "BYTES":
        raise NotApplicable("bytes may be of any length")
    return error(subject, _send_raw(subject, content[:-1]))


@check("binary.raw_empty", "refused: a raw request of no bytes, unless the input takes any", BINARY)
def _(subject: Subject) -> str:
    _raw(subject)
    reply = _send_raw(subject, b"")
    expect(reply.status < 500, reply.summary())
    return reply.summary()


# --- Sizes that lie -------------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any], list[bytes]], object]


def _size(body: dict[str, Any], value: Any) -> None:
    body["inputs"][-1]["parameters"]["binary_data_size"] = value


def _both(body: dict[str, Any], tensors: list[bytes]) -> None:
    body["inputs"][0]["data"] = [0]


def _neither(body: dict[str, Any], tensors: list[bytes]) -> None:
    del body["inputs"][0]["parameters"]


def _longer(body: dict[str, Any], tensors: list[bytes]) -> None:
    """More bytes than the shape has values for, and no lie about them."""
    _size(body, len(tensors[-1]) + 4)
    tensors.append(b"\0" * 4)


def _shorter(body: dict[str, Any], tensors: list[bytes]) -> None:
    _size(body, len(tensors[-1]) - 1)
    tensors[-1] = tensors[-1][:-1]


def _shape(body: dict[str, Any], value: int) -> None:
    if not body["inputs"][-1]["shape"]:
        raise NotApplicable("the last input has no dimension")
    body["inputs"][-1]["shape"][0] = value


def _element(body: dict[str, Any], tensors: list[bytes]) -> None:
    """The first element claims to be longer than all bytes that there are."""
    if body["inputs"][-1]["datatype"] != "BYTES":
        raise NotApplicable("the last input is not of bytes")
    tensors[-1] = b"\xff\xff\xff\xff" + tensors[-1][4:]


LIES: list[tuple[str, str, Change, bool]] = [
    ("truncated", "the last byte missing", lambda r, t: t.__setitem__(-1, t[-1][:-1]), True),
    ("nothing", "no bytes after the JSON at all", lambda r, t: t.clear(), True),
    ("left_over", "bytes left over", lambda r, t: t.append(b"\0\0\0\0"), True),
    ("size_small", "binary_data_size one byte too small", lambda r, t: _size(r, len(t[-1]) - 1), True),
    ("size_large", "binary_data_size one byte too large", lambda r, t: _size(r, len(t[-1]) + 1), True),
    ("size_huge", "binary_data_size of 2**62", lambda r, t: _size(r, 2**62), True),
    ("size_beyond", "binary_data_size of 2**80", lambda r, t: _size(r, 2**80), True),
    ("size_zero", "binary_data_size of 0, with bytes", lambda r, t: _size(r, 0), True),
    ("size_negative", "a negative binary_data_size", lambda r, t: _size(r, -len(t[-1])), True),
    ("size_text", "binary_data_size that is text", lambda r, t: _size(r, str(len(t[-1]))), False),
    ("size_fraction", "binary_data_size that is a fraction", lambda r, t: _size(r, len(t[-1]) + 0.5), True),
    ("size_true", "binary_data_size that is true", lambda r, t: _size(r, True), True),
    ("size_null", "binary_data_size that is null", lambda r, t: _size(r, None), True),
    ("size_list", "binary_data_size that is a list", lambda r, t: _size(r, [len(t[-1])]), True),
    ("longer", "more bytes than the shape has values", _longer, True),
    ("shorter", "fewer bytes than the shape has values", _shorter, True),
    ("shape_larger", "a shape of more instances than there are bytes", lambda r, t: _shape(r, 1000), True),
    ("shape_huge", "a shape of 2**62 instances", lambda r, t: _shape(r, 2**62), True),
    ("shape_wraps", "a shape whose size in bytes is 0 in 64 bits", lambda r, t: _shape(r, 2**64), True),
    ("shape_negative", "a negative shape", lambda r, t: _shape(r, -2), True),
    ("both", "both data and binary_data_size", _both, True),
    ("neither", "neither data nor binary_data_size", _neither, True),
    ("element", "an element longer than all bytes", _element, True),
]

LENGTHS: list[tuple[str, str, Callable[[int, int], object], bool]] = [
    ("words", "a length that is no number", lambda head, all_: "twelve", True),
    ("negative", "a negative length", lambda head, all_: -1, True),
    ("beyond", "a length beyond the body", lambda head, all_: all_ + 1, True),
    ("huge", "a length of 2**64 + the right one", lambda head, all_: 2**64 + head, True),
    ("short", "a length that cuts the JSON", lambda head, all_: head - 1, True),
    ("long", "a length that reaches into the tensors", lambda head, all_: head + 1, True),
    ("whole", "a length of the whole body", lambda head, all_: all_, True),
    ("fraction", "a length with a fraction", lambda head, all_: f"{head}.5", True),
    ("twice", "two lengths", lambda head, all_: f"{head}, {head}", False),
]


def _add() -> None:
    for name, wrong, change, required in LIES:

        def lied(subject: Subject, change: Change = change) -> str:
            applicable(subject)
            usable(subject)
            body, tensors = binary_request(subject)
            change(body, tensors)
            return error(subject, infer_binary(subject, body, tensors))

        CHECKS.add(f"binary.refuses.{name}", f"refused: {wrong}", BINARY, lied, required=required)

    for name, wrong, length, required in LENGTHS:

        def measured(subject: Subject, length: Callable[[int, int], object] = length) -> str:
            applicable(subject)
            usable(subject)
            body, tensors = binary_request(subject)
            head = len(json.dumps(body).encode())
            said = str(length(head, head + sum(map(len, tensors))))
            return error(subject, infer_binary(subject, body, tensors, said))

        CHECKS.add(f"binary.length.{name}", f"refused: {wrong}", BINARY, measured, required=required)


_add()


@check("binary.truth_value", "refused: a truth value that is neither 0 nor 1", BINARY, required=False)
def _(subject: Subject) -> str:
    applicable(subject)
    usable(subject)
    body, tensors = binary_request(subject)
    for i, given in enumerate(body["inputs"]):
        if given["datatype"] == "BOOL":
            tensors[i] = b"\2" + tensors[i][1:]
            return error(subject, infer_binary(subject, body, tensors))
    raise NotApplicable("the model has no input of truth values")


@check("binary.errors.form", 'errors are JSON, {"error": text}, whatever was asked for', BINARY)
def _(subject: Subject) -> str:
    applicable(subject)
    return forms(subject)


@check("binary.and_lives", "after all of these, a good request is answered as before", BINARY)
def _(subject: Subject) -> str:
    applicable(subject)
    return same(subject, infer_binary(subject, *binary_request(subject)))
