"""The model repository extension: the list of models, and taking one away and back."""

from __future__ import annotations

import time
from urllib.parse import quote

from ..checks import REFUSALS, Checks, Differs, NotApplicable, expect, succeeded
from ..subject import Subject
from .talk import JSON, NOBODY, REPOSITORY, error, extension, good, path, same, usable

CHECKS = Checks("open_inference")
check = CHECKS.check

STATES = {"UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"}
INDEX = "/v2/repository/index"
WAIT = 60  # seconds for a model to go or to return, on a server of many workers
POLL = 0.2


def _applicable(subject: Subject) -> None:
    extension(subject, "model_repository", "model_repository_extension")


def _index(subject: Subject, body: bytes) -> list[dict[str, str]]:
    reply = subject.server.post(INDEX, body, JSON)
    found = succeeded(reply)
    expect(isinstance(found, list), reply.summary())
    for model in found:
        expect(isinstance(model["name"], str), f"{model}")
        expect(model.get("state") in STATES, f"{model}")
        expect(isinstance(model.get("reason") or "", str), f"{model}")
    return found


@check(
    "repository.index", "POST /v2/repository/index, empty: every model's name, version, state and reason", REPOSITORY
)
def _(subject: Subject) -> str:
    _applicable(subject)
    found = [model for model in _index(subject, b"") if model["name"] == subject.model]
    expect(any(model["state"] == "READY" for model in found), f"of the model: {found}")
    return f"{found}"


@check("repository.ready", '{"ready": true} leaves the models that are', REPOSITORY)
def _(subject: Subject) -> str:
    _applicable(subject)
    found = _index(subject, b'{"ready": true}')
    expect(all(model["state"] == "READY" for model in found), f"{found}")
    expect(any(model["name"] == subject.model for model in found), f"{found}")
    return f"{len(found)} models"


@check("repository.ready_text", '{"ready": "yes"}: refused', REPOSITORY, required=False)
def _(subject: Subject) -> str:
    _applicable(subject)
    return error(subject, subject.server.post(INDEX, b'{"ready": "yes"}', JSON))


@check("repository.index_words", "refused: an index asked for with no JSON", REPOSITORY)
def _(subject: Subject) -> str:
    _applicable(subject)
    return error(subject, subject.server.post(INDEX, b"what is there?", JSON))


def _add() -> None:
    for call in ("load", "unload"):

        def judge(subject: Subject, call: str = call) -> str:
            _applicable(subject)
            return error(
                subject, subject.server.post(f"/v2/repository/models/{NOBODY}/{call}", b"{}", JSON), {*REFUSALS, 503}
            )

        CHECKS.add(f"repository.{call}_unknown", f"refused: to {call} a model that there is none", REPOSITORY, judge)


_add()


@check("repository.control", "unload takes the model away, load brings it back", REPOSITORY)
def _(subject: Subject) -> str:
    _applicable(subject)
    if not subject.may_unload:
        raise NotApplicable("only with --may-unload")
    usable(subject)
    target = f"/v2/repository/models/{quote(subject.model, safe='')}"
    gone = subject.server.post(f"{target}/unload", b'{"parameters": {"unload_dependents": false}}', JSON)
    try:
        expect(gone.status == 200, gone.summary())
        _wait(subject, ready=False)
        error(subject, good(subject), {*REFUSALS, 503})
    finally:
        back = subject.server.post(f"{target}/load", b"{}", JSON)
        _wait(subject, ready=True)
    expect(back.status == 200, back.summary())
    return same(subject, good(subject))


def _wait(subject: Subject, *, ready: bool) -> None:
    """Until the model is so, by several answers in a row: they may be of different workers."""
    deadline = time.monotonic() + WAIT
    in_a_row = 0
    while in_a_row < 5:
        in_a_row = in_a_row + 1 if (subject.server.get(path(subject, "/ready")).status == 200) is ready else 0
        if time.monotonic() > deadline:
            raise Differs(f"the model is {'still not' if ready else 'still'} ready after {WAIT} s")
        time.sleep(POLL)
