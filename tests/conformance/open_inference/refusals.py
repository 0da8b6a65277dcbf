"""Bad requests in JSON: each is a change of a good one, and each must get an error of the protocol's form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..checks import Checks, NotApplicable, expect
from ..subject import Subject
from .talk import SPEC, error, forms, infer, request, same, usable

ERRORS = f"{SPEC}: Inference Response Errors"

CHECKS = Checks("open_inference")
Change = Callable[[dict[str, Any]], object]


def first(body: dict[str, Any]) -> dict[str, Any]:
    """The first input."""
    return body["inputs"][0]


def number(body: dict[str, Any]) -> dict[str, Any]:
    """The first input of numbers."""
    for given in body["inputs"]:
        if given["datatype"] not in ("BYTES", "BOOL"):
            return given
    raise NotApplicable("the model has no input of numbers")


def integer(body: dict[str, Any]) -> dict[str, Any]:
    """The first input of integers."""
    for given in body["inputs"]:
        if "INT" in given["datatype"]:
            return given
    raise NotApplicable("the model has no input of integers")


def text(body: dict[str, Any]) -> dict[str, Any]:
    """The first input of bytes."""
    for given in body["inputs"]:
        if given["datatype"] == "BYTES":
            return given
    raise NotApplicable("the model has no input of bytes")


def _lose_one_of_several(body: dict[str, Any]) -> None:
    if len(body["inputs"]) < 2:
        raise NotApplicable("the model has one input")
    body["inputs"].pop()


def _put(given: dict[str, Any], value: Any) -> None:
    """Another first value."""
    given["data"] = [value, *given["data"][1:]]


def _first_size(body: dict[str, Any], size: int) -> None:
    """Another first dimension of the first input that has some."""
    for given in body["inputs"]:
        if given["shape"]:
            given["shape"][0] = size
            return
    raise NotApplicable("no input has a dimension")


def _no_dimension(body: dict[str, Any]) -> None:
    given = number(body)
    if not given["shape"]:
        raise NotApplicable("the input has no dimension")
    given.update(shape=[], data=[1])


def _small_letters(body: dict[str, Any]) -> None:
    first(body)["datatype"] = first(body)["datatype"].lower()


# id, what is wrong, the change, whether every server must refuse it.
BAD: list[tuple[str, str, Change, bool]] = [
    ("no_inputs", "no inputs", lambda r: r.pop("inputs"), True),
    ("inputs_empty", "an empty list of inputs", lambda r: r.update(inputs=[]), True),
    ("inputs_object", "inputs that are an object", lambda r: r.update(inputs={"x": 1}), True),
    ("inputs_null", "inputs that are null", lambda r: r.update(inputs=None), True),
    ("input_number", "an input that is a number", lambda r: r.update(inputs=[7]), True),
    ("input_unknown", "an input that the model does not have", lambda r: first(r).update(name="no-such-input"), True),
    ("input_missing", "one of several inputs left out", _lose_one_of_several, True),
    ("input_twice", "an input twice", lambda r: r["inputs"].append(dict(first(r))), False),
    (
        "input_extra",
        "one input too many",
        lambda r: r["inputs"].append({**first(r), "name": "no-such-input"}),
        False,
    ),
    ("name_missing", "an input without a name", lambda r: first(r).pop("name"), True),
    ("name_number", "an input whose name is a number", lambda r: first(r).update(name=7), True),
    ("shape_missing", "an input without a shape", lambda r: first(r).pop("shape"), True),
    ("shape_number", "a shape that is a number", lambda r: first(r).update(shape=4), True),
    ("shape_text", "a shape of texts", lambda r: first(r).update(shape=["a"]), True),
    ("shape_fraction", "a shape with a fraction", lambda r: first(r).update(shape=[1.5, 2]), True),
    ("shape_negative", "a shape with a negative size", lambda r: _first_size(r, -1), True),
    ("shape_huge", "a shape of 2**62 values", lambda r: _first_size(r, 2**62), True),
    ("shape_beyond", "a size beyond 64 bits", lambda r: _first_size(r, 2**80), True),
    ("shape_lies", "a shape of more values than data has", lambda r: first(r)["shape"].append(2), True),
    ("shape_rank", "a shape of another rank", lambda r: number(r)["shape"].insert(0, 1), True),
    ("shape_none", "values without any dimension", _no_dimension, True),
    ("data_missing", "an input without data", lambda r: first(r).pop("data"), True),
    ("data_short", "data of too few values", lambda r: first(r)["data"].pop(), True),
    ("data_long", "data of too many values", lambda r: first(r)["data"].extend(first(r)["data"][:1]), True),
    ("data_empty", "no data at all", lambda r: first(r).update(data=[]), True),
    ("data_object", "data that is an object", lambda r: first(r).update(data={"a": 1}), True),
    ("data_null", "null among the numbers", lambda r: _put(number(r), None), False),
    ("data_text", "text among the numbers", lambda r: _put(number(r), "seven"), True),
    ("data_nested_object", "an object among the values", lambda r: _put(first(r), {"b64": "AA=="}), True),
    ("data_ragged", "rows of different lengths", lambda r: number(r).update(data=[[1, 2], [1]]), True),
    ("data_fraction", "a fraction among the integers", lambda r: _put(integer(r), 0.5), False),
    ("data_range", "an integer beyond the datatype", lambda r: _put(integer(r), 2**70), True),
    ("data_number", "a number among the texts", lambda r: _put(text(r), 7), False),
    ("datatype_missing", "an input without a datatype", lambda r: first(r).pop("datatype"), True),
    ("datatype_unknown", "a datatype that there is none", lambda r: first(r).update(datatype="FP31"), True),
    (
        "datatype_case",
        "a datatype in small letters",
        _small_letters,
        False,
    ),
    ("datatype_number", "a datatype that is a number", lambda r: first(r).update(datatype=32), True),
    (
        "datatype_other",
        "another datatype than the model's",
        lambda r: number(r).update(datatype="INT16" if number(r)["datatype"] != "INT16" else "INT32"),
        False,
    ),
    ("outputs_object", "outputs that are an object", lambda r: r.update(outputs={"name": "y"}), True),
    ("outputs_number", "an output that is a number", lambda r: r.update(outputs=[7]), True),
    ("output_unknown", "an output that the model does not have", lambda r: r.update(outputs=[{"name": "none"}]), True),
    ("output_no_name", "an output without a name", lambda r: r.update(outputs=[{}]), True),
    ("id_number", "an id that is a number", lambda r: r.update(id=7), False),
    ("parameters_list", "parameters that are a list", lambda r: r.update(parameters=[1]), False),
]

BODIES: list[tuple[str, str, bytes, bool]] = [
    ("body_empty", "no body at all", b"", True),
    ("body_words", "a body that is no JSON", b"what is this?", True),
    ("body_cut", "JSON that ends early", b'{"inputs": [{"name": "x", ', True),
    ("body_list", "a list", b"[]", True),
    ("body_null", "null", b"null", True),
    ("body_binary", "bytes that are no text", bytes(range(256)), True),
    ("body_deep", "a thousand lists in each other", b'{"inputs": ' + b"[" * 1000 + b"]" * 1000 + b"}", True),
    ("body_deeper", "a hundred thousand lists in each other", b"[" * 100_000 + b"]" * 100_000, True),
    ("body_surrogate", "half a character as the id", b'{"id": "\\ud800", "inputs": []}', True),
]


def _add() -> None:
    for name, wrong, change, required in BAD:

        def changed(subject: Subject, change: Change = change) -> str:
            usable(subject)
            body = json.loads(json.dumps(request(subject)))
            change(body)
            return error(subject, infer(subject, body))

        CHECKS.add(f"refuses.{name}", f"refused: {wrong}", ERRORS, changed, required=required)

    for name, wrong, content, required in BODIES:

        def sent(subject: Subject, content: bytes = content) -> str:
            return error(subject, infer(subject, content))

        CHECKS.add(f"refuses.{name}", f"refused: {wrong}", ERRORS, sent, required=required)


_add()


@CHECKS.check("refuses.shape_size", "refused: instances of another size, and no lie about it", ERRORS)
def _(subject: Subject) -> str:
    usable(subject)
    body = request(subject)
    for tensor, given in zip(subject.facts.inputs, body["inputs"], strict=True):
        if tensor.numeric and len(tensor.shape) > 1 and tensor.shape[-1] > 0:
            data, size = given["data"], given["shape"][-1]
            given["data"] = [value for i in range(0, len(data), size) for value in [*data[i : i + size], data[i]]]
            given["shape"] = [*given["shape"][:-1], size + 1]
            return error(subject, infer(subject, body))
    raise NotApplicable("the model has no input of numbers whose instances have a size")


@CHECKS.check("refuses.data_nan", "NaN, which is no JSON, is refused or understood, not an error of the server", ERRORS)
def _(subject: Subject) -> str:
    body = request(subject)
    given = number(body)
    if not given["datatype"].startswith("FP"):
        raise NotApplicable("the model has no input of floats")
    _put(given, float("nan"))
    reply = infer(subject, body)
    expect(reply.status < 500, reply.summary())
    return reply.summary()


@CHECKS.check("refuses.and_lives", "after all of these, a good request is answered as before", ERRORS)
def _(subject: Subject) -> str:
    return same(subject, infer(subject, request(subject)))


@CHECKS.check("errors.form", 'the body of all these errors is {"error": text}', ERRORS)
def _(subject: Subject) -> str:
    return forms(subject)
