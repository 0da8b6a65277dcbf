"""KServe V1: instances and predictions, as KServe's own server and client have them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from . import pairs
from .checks import Checks, Dialect, NotApplicable, answered, expect, message, parsed, refused, strict, succeeded
from .describe import by_any
from .rows import agree, by_name, finite, plain_rows, predictions, row_by_row
from .server import Reply
from .subject import Subject

CHECKS = Checks("kserve_v1")
check = CHECKS.check

NOBODY = "no-such-model"
JSON = {"Content-Type": "application/json"}

ROUTES = "KServe v1_endpoints.py"
CLIENT = "KServe inference_client.py"
ERRORS = "KServe errors.py"


def offered(subject: Subject) -> bool:
    """Is there a list of models? TensorFlow Serving has none."""
    reply = subject.server.get("/v1/models")
    try:
        return reply.status == 200 and "models" in json.loads(reply.content)
    except (TypeError, ValueError, RecursionError):
        return False


def path(subject: Subject, rest: str = "", *, model: str = "") -> str:
    """A path of the model's."""
    return f"/v1/models/{quote(model or subject.model, safe='')}{rest}"


def ask(subject: Subject, body: Any, rest: str = ":predict", *, model: str = "") -> Reply:
    """POST JSON, or any bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return subject.server.post(path(subject, rest, model=model), content, JSON)


def reference(subject: Subject) -> list[Any]:
    """The predictions of the rows, asked for once."""
    if "reference" not in subject.memory:
        by_any(subject)
        row_by_row(subject)
        rows = plain_rows(subject)
        subject.memory["reference"] = predictions(succeeded(ask(subject, {"instances": rows})), len(rows))
    return subject.memory["reference"]


def usable(subject: Subject) -> None:
    """Raises NotApplicable where no good request is answered."""
    answered(reference, subject)


@check("alive", 'GET / is {"status": "alive"}: so the client asks for liveness', CLIENT, required=False)
def _(subject: Subject) -> str:
    reply = subject.server.get("/", {"Accept": "application/json"})
    expect(str(strict(reply)["status"]).lower() == "alive", reply.summary())
    return reply.summary()


@check("list", 'GET /v1/models is {"models": [name, ...]}, with the model', ROUTES)
def _(subject: Subject) -> str:
    reply = subject.server.get("/v1/models")
    names = strict(reply)["models"]
    expect(isinstance(names, list) and all(isinstance(name, str) for name in names), reply.summary())
    expect(subject.model in names, reply.summary())
    return reply.summary()


@check("ready", 'GET /v1/models/M is {"name": M, "ready": true}: the client reads `ready`', ROUTES)
def _(subject: Subject) -> str:
    reply = subject.server.get(path(subject))
    said = strict(reply)
    expect((said.get("name"), said.get("ready")) == (subject.model, True), reply.summary())
    return reply.summary()


@check("ready.unknown", "404 for a model that there is none", ERRORS)
def _(subject: Subject) -> str:
    return refused(subject.server.get(path(subject, model=NOBODY)), {404})


@check("ready.unknown.text", "... and KServe's words", ERRORS, required=False)
def _(subject: Subject) -> str:
    said = message(subject.server.get(path(subject, model=NOBODY)))
    expect(said == f"Model with name {NOBODY} does not exist.", said)
    return said


@check("predict", "instances: an item each, and a prediction for each", ROUTES)
def _(subject: Subject) -> str:
    known = reference(subject)
    reply = ask(subject, {"instances": plain_rows(subject)})
    expect(agree(subject, predictions(succeeded(reply), len(known)), known), reply.summary())
    return reply.summary()


@check("predict.strict", "predictions of NaN or Infinity are strict JSON: the client reads no other", CLIENT)
def _(subject: Subject) -> str:
    usable(subject)
    reply = ask(subject, {"instances": plain_rows(subject)})
    if finite(reference(subject)):
        raise NotApplicable("no prediction is NaN or Infinity")
    strict(reply)
    return reply.summary()


@check("predict.batch", "an instance gets the same answer alone and among others", ROUTES)
def _(subject: Subject) -> str:
    usable(subject)
    rows = plain_rows(subject)
    alone = [predictions(succeeded(ask(subject, {"instances": [row]})), 1)[0] for row in rows]
    expect(agree(subject, alone, reference(subject)), f"{alone}")
    return f"{len(rows)} instances"


@check("predict.answers", "the predictions have the values that the facts tell", ROUTES)
def _(subject: Subject) -> str:
    usable(subject)
    if not subject.facts.answers:
        raise NotApplicable("no answers are known: name them by --facts")
    found = by_name(subject, reference(subject))
    expect(agree(subject, found, subject.answers()), f"{found}")
    return f"{found}"


@check("predict.unknown_keys", "what the server does not know in the body changes nothing", ROUTES)
def _(subject: Subject) -> str:
    usable(subject)
    reply = ask(subject, {"a": 1, "instances": plain_rows(subject)})
    expect(agree(subject, predictions(succeeded(reply), len(reference(subject))), reference(subject)), reply.summary())
    return reply.summary()


@check("predict.unknown", "404 for predictions of a model that there is none", ERRORS)
def _(subject: Subject) -> str:
    return refused(ask(subject, {"instances": [1]}, model=NOBODY), {404})


@check("explain", "an explanation, or an error that says that there is none", ROUTES)
def _(subject: Subject) -> str:
    usable(subject)
    reply = ask(subject, {"instances": plain_rows(subject)}, ":explain")
    expect(reply.status in (200, 400, 404, 405, 501), reply.summary())
    return reply.summary()


BAD: list[tuple[str, str, bytes, bool]] = [
    ("empty", "no body", b"", True),
    ("words", "a body that is no JSON", b"what is this?", True),
    ("cut", "JSON that ends early", b'{"instances": [1, ', True),
    ("binary", "bytes that are no text", bytes(range(256)), True),
    ("deep", "a hundred thousand lists in each other", b"[" * 100_000 + b"]" * 100_000, True),
    ("list", "a list", b"[1, 2]", True),
    ("null", "null", b"null", True),
    ("missing", "no instances", b"{}", True),
    ("number", "instances that are a number", b'{"instances": 1}', True),
    ("text", "instances that are text", b'{"instances": "some"}', True),
    ("object", "instances that are an object", b'{"instances": {"a": 1}}', True),
    ("none", "an empty list of instances", b'{"instances": []}', False),
    ("other", "instances of another kind than the model's", b'{"instances": [{"no-such-input": null}]}', True),
    ("ragged", "instances of different shapes", b'{"instances": [[1, [2]], [[[3]], 4]]}', True),
]


def _add() -> None:
    for id, wrong, content, required in BAD:

        def judge(subject: Subject, content: bytes = content) -> str:
            usable(subject)
            return refused(ask(subject, content))

        CHECKS.add(f"refuses.{id}", f"a 4xx: {wrong}", ERRORS, judge, required=required)


_add()


@check(
    "errors.form", 'errors are {"error": text}, application/json and nothing else: else the client hides them', CLIENT
)
def _(subject: Subject) -> str:
    replies = [subject.server.get(path(subject, model=NOBODY)), ask(subject, b"{"), ask(subject, {"instances": 1})]
    for reply in replies:
        message(reply)
        expect(reply.kind == "application/json", f"Content-Type: {reply.kind!r}")
        expect(isinstance(parsed(reply), dict), reply.summary())
    return " / ".join(reply.summary() for reply in replies)


@check("and_lives", "after all of these, a good request is answered as before", ROUTES)
def _(subject: Subject) -> str:
    usable(subject)
    reply = ask(subject, {"instances": plain_rows(subject)})
    expect(agree(subject, predictions(succeeded(reply), len(reference(subject))), reference(subject)), reply.summary())
    return reply.summary()


DIALECT = Dialect("kserve_v1", "KServe V1", offered, (*CHECKS, *pairs.checks("kserve_v1", ROUTES)))
