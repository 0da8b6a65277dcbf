"""SageMaker's container contract, and what the TensorFlow Serving container made of /invocations."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import pairs
from .checks import Checks, Dialect, NotApplicable, answered, expect, message, refused, succeeded
from .describe import by_any
from .rows import (
    UNCONVERTED,
    agree,
    by_name,
    columns,
    convertible,
    named_rows,
    plain_rows,
    predictions,
    row_by_row,
)
from .server import Reply
from .subject import Subject

CHECKS = Checks("sagemaker")
check = CHECKS.check

CONTRACT = "your-algorithms-inference-code.md"
TOOLKIT = "sagemaker-inference-toolkit: default_handler_utils"
CONTAINER = "sagemaker-tensorflow-serving-container"
JSON = "application/json"
PING_SECONDS = 2.0


def offered(subject: Subject) -> bool:
    """Is there a page of the server's health, and anything to invoke?"""
    return subject.server.get("/ping").status == 200 and ask(subject, b"", named=False).status not in (404, 405)


def ask(
    subject: Subject,
    body: Any,
    kind: str | None = JSON,
    headers: Mapping[str, str] | None = None,
    *,
    named: bool = True,
) -> Reply:
    """POST /invocations. named: with the attribute that names the model; raises NotApplicable where it cannot."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Content-Type": kind} if kind else {}
    if named:
        if not re.fullmatch(r"[!-+\--~]+", subject.model):
            raise NotApplicable(
                f"no attribute can hold the name {subject.model!r}: they are ASCII, with commas between"
            )
        fields["X-Amzn-SageMaker-Custom-Attributes"] = f"tfs-model-name={subject.model}"
    return subject.server.post("/invocations", content, {**fields, **(headers or {})})


def good(subject: Subject) -> Reply:
    """The answer to good rows. Raises NotApplicable where TensorFlow Serving refuses such a model's, too."""
    by_any(subject)
    row_by_row(subject)
    reply = ask(subject, {"instances": plain_rows(subject)})
    if reply.status in UNCONVERTED:
        convertible(subject)
    return reply


def reference(subject: Subject) -> list[Any]:
    """The predictions of the rows, asked for once."""
    if "reference" not in subject.memory:
        reply = good(subject)
        subject.memory["reference"] = predictions(succeeded(reply), len(plain_rows(subject)))
    return subject.memory["reference"]


def usable(subject: Subject) -> None:
    """Raises NotApplicable where no good request is answered."""
    answered(reference, subject)


def same(subject: Subject, reply: Reply) -> str:
    """Check that an answer has the reference's predictions. Returns the answer."""
    known = reference(subject)
    expect(agree(subject, predictions(succeeded(reply), len(known)), known), f"other predictions: {reply.summary()}")
    return reply.summary()


def vectors(subject: Subject) -> list[list[float]]:
    """Rows of several numbers each. Raises NotApplicable where the model's one input takes no such."""
    usable(subject)
    rows = plain_rows(subject)
    flat = all(isinstance(row, list) and row and not isinstance(row[0], list | dict) for row in rows)
    if len(subject.facts.inputs) != 1 or not subject.facts.inputs[0].numeric or not flat:
        raise NotApplicable("the model does not take one row of numbers for an instance")
    return rows


@check("ping", "GET /ping is 200, within 2 seconds", CONTRACT)
def _(subject: Subject) -> str:
    began = time.monotonic()
    reply = subject.server.get("/ping")
    took = time.monotonic() - began
    expect(reply.status == 200, reply.summary())
    expect(took < PING_SECONDS, f"{took:.1f} s")
    return reply.summary()


@check("instances", 'JSON with instances gets {"predictions": [...]}', CONTAINER)
def _(subject: Subject) -> str:
    return same(subject, good(subject))


@check("answers", "the predictions have the values that the facts tell", CONTAINER)
def _(subject: Subject) -> str:
    usable(subject)
    if not subject.facts.answers:
        raise NotApplicable("no answers are known: name them by --facts")
    found = by_name(subject, reference(subject))
    expect(agree(subject, found, subject.answers()), f"{found}")
    return f"{found}"


@check("inputs", 'JSON with inputs gets {"outputs": ...}', CONTAINER)
def _(subject: Subject) -> str:
    usable(subject)
    reply = ask(subject, {"inputs": columns(subject)})
    known = by_name(subject, reference(subject))
    found = succeeded(reply)["outputs"]
    expect(agree(subject, found if len(known) > 1 else {next(iter(known)): found}, known), reply.summary())
    return reply.summary()


@check("rows", "a list of lists is an instance each", CONTAINER)
def _(subject: Subject) -> str:
    return same(subject, ask(subject, vectors(subject)))


@check("one_row", "any other list is one instance", CONTAINER)
def _(subject: Subject) -> str:
    reply = ask(subject, vectors(subject)[0])
    found = predictions(succeeded(reply), 1)
    expect(agree(subject, found, reference(subject)[:1]), reply.summary())
    return reply.summary()


def _add_lines() -> None:
    for kind in ("application/json", "application/jsons", "application/jsonlines"):

        def judge(subject: Subject, kind: str = kind) -> str:
            lines = "\n".join(json.dumps(row) for row in vectors(subject))
            return same(subject, ask(subject, lines.encode(), kind))

        CHECKS.add(f"lines.{kind[12:]}", f"{kind}: an instance in each line", CONTAINER, judge)


_add_lines()


@check("lines.objects", "objects by the inputs' names, one in each line", CONTAINER)
def _(subject: Subject) -> str:
    usable(subject)
    lines = "\n".join(json.dumps(row) for row in named_rows(subject))
    return same(subject, ask(subject, lines.encode(), "application/jsonlines"))


def csv(subject: Subject) -> list[str]:
    """A line for each instance. One without a comma is a number, and no list of one: so the container reads it."""
    usable(subject)
    if len(subject.facts.inputs) == 1 and subject.facts.inputs[0].numeric and len(subject.facts.inputs[0].shape) == 1:
        return list(map(str, plain_rows(subject)))
    rows = vectors(subject)
    if any(len(row) == 1 for row in rows):
        raise NotApplicable("a line of one number is that number, and the model takes lists of one")
    return [",".join(map(str, row)) for row in rows]


@check("csv", "text/csv: an instance in each line", CONTAINER)
def _(subject: Subject) -> str:
    return same(subject, ask(subject, "\n".join(csv(subject)).encode(), "text/csv"))


@check("csv.end", "... also with a line's end after the last", CONTAINER, required=False)
def _(subject: Subject) -> str:
    return same(subject, ask(subject, "".join(f"{line}\r\n" for line in csv(subject)).encode(), "text/csv"))


@check("npy", "application/x-npy: an array of all instances, as SageMaker's own SDK sends it", TOOLKIT, required=False)
def _(subject: Subject) -> str:
    usable(subject)
    if len(subject.facts.inputs) != 1 or subject.facts.inputs[0].datatype == "BYTES":
        raise NotApplicable("the model does not take one array of numbers")
    file = io.BytesIO()
    np.save(file, subject.values()[subject.facts.inputs[0].name])
    return same(subject, ask(subject, file.getvalue(), "application/x-npy"))


@check("photo", "a photo as it is, with its own Content-Type", CONTRACT, required=False)
def _(subject: Subject) -> str:
    if not subject.photo:
        raise NotApplicable("only with --photo")
    kind = "image/png" if subject.photo.startswith(b"\x89PNG") else "image/jpeg"
    reply = ask(subject, subject.photo, kind)
    predictions(succeeded(reply), 1)
    return reply.summary()


@check("kind.charset", "application/json; charset=utf-8 is JSON, too", CONTRACT)
def _(subject: Subject) -> str:
    usable(subject)
    return same(subject, ask(subject, {"instances": plain_rows(subject)}, "application/json; charset=utf-8"))


@check("kind.none", "a body without Content-Type is JSON", f"{CONTAINER}: tfs_utils.py", required=False)
def _(subject: Subject) -> str:
    usable(subject)
    return same(subject, ask(subject, {"instances": plain_rows(subject)}, None))


@check("kind.unknown", "415 for a Content-Type that there is none", CONTAINER)
def _(subject: Subject) -> str:
    usable(subject)
    reply = ask(subject, b"what is this?", "application/strange")
    refused(reply, {415})
    return message(reply)


@check("accept", "Accept: application/jsonlines gives that type, and one line", CONTAINER, required=False)
def _(subject: Subject) -> str:
    usable(subject)
    reply = ask(subject, {"instances": plain_rows(subject)}, headers={"Accept": "application/jsonlines"})
    same(subject, reply)
    expect(reply.kind == "application/jsonlines", f"Content-Type: {reply.kind!r}")
    expect(b"\n" not in reply.content.strip(), "several lines")
    return reply.kind


@check("accept.json", "Accept: application/json gives JSON", CONTRACT)
def _(subject: Subject) -> str:
    usable(subject)
    reply = ask(subject, {"instances": plain_rows(subject)}, headers={"Accept": "application/json"})
    same(subject, reply)
    expect(reply.kind.partition(";")[0] == JSON, f"Content-Type: {reply.kind!r}")
    return reply.kind


@check("attributes", "other attributes, and the platform's own headers, change nothing", CONTRACT)
def _(subject: Subject) -> str:
    usable(subject)
    headers = {
        "X-Amzn-SageMaker-Custom-Attributes": f"trace=7,tfs-model-name={subject.model},tfs-method=predict",
        "X-Amzn-SageMaker-Inference-Id": "the-seventh",
        "X-Amzn-SageMaker-Target-Variant": "a",
    }
    return same(subject, ask(subject, {"instances": plain_rows(subject)}, headers=headers))


@check("default_model", "without attributes the default model answers, which may be another", CONTAINER)
def _(subject: Subject) -> str:
    usable(subject)
    reply = ask(subject, {"instances": plain_rows(subject)}, named=False)
    expect(reply.status < 500, reply.summary())
    return reply.summary()


@check("unknown_model", "an error for a model that there is none", CONTAINER)
def _(subject: Subject) -> str:
    usable(subject)
    headers = {"X-Amzn-SageMaker-Custom-Attributes": "tfs-model-name=no-such-model"}
    reply = ask(subject, {"instances": [1]}, headers=headers)
    refused(reply)
    return message(reply)


def _add_bad_requests() -> None:
    bad = [
        ("words", "words that are no JSON", b"whatever", JSON),
        ("cut", "JSON that ends early", b'{"instances": [1, ', JSON),
        ("empty", "no body", b"", JSON),
        ("junk", "an object of no input's name", b'{"junk": "data"}', JSON),
        ("binary", "bytes that are no text", bytes(range(256)), JSON),
        ("deep", "a hundred thousand lists in each other", b"[" * 100_000 + b"]" * 100_000, JSON),
        ("lines_cut", "lines of which one is no JSON", b"[1.0]\n[2.0", "application/jsonlines"),
        ("csv_empty", "no CSV", b"", "text/csv"),
        ("csv_ragged", "lines of different lengths", b"1.0,2.0\n1.0", "text/csv"),
        ("csv_binary", "CSV of bytes that are no text", bytes(range(128, 256)), "text/csv"),
        ("npy", "a file of NumPy's that is none", b"\x93NUMPY and no more", "application/x-npy"),
        ("image", "an image that is none", b"\xff\xd8\xff and no more", "image/jpeg"),
    ]
    for id, wrong, content, kind in bad:

        def judge(subject: Subject, content: bytes = content, kind: str = kind) -> str:
            usable(subject)
            reply = ask(subject, content, kind)
            refused(reply)
            return message(reply)

        CHECKS.add(f"refuses.{id}", f'a 4xx with {{"error": text}}: {wrong}', CONTAINER, judge)


_add_bad_requests()


@check("method", "refused: GET /invocations", CONTRACT)
def _(subject: Subject) -> str:
    return refused(subject.server.get("/invocations"))


@check("and_lives", "after all of these, /ping is 200 and a good request is answered as before", CONTRACT)
def _(subject: Subject) -> str:
    usable(subject)
    expect(subject.server.get("/ping").status == 200, "not healthy")
    return same(subject, ask(subject, {"instances": plain_rows(subject)}))


DIALECT = Dialect(
    "sagemaker", "SageMaker", offered, (*CHECKS, *pairs.checks("sagemaker", f"{CONTAINER}: test_container.py"))
)
