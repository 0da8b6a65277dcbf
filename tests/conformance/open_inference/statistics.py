"""The statistics extension: what the model has done so far."""

from __future__ import annotations

import time
from typing import Any

from ..checks import Checks, Differs, expect, strict
from ..subject import Subject
from .talk import NOBODY, STATISTICS, error, extension, good, path, same, version

CHECKS = Checks("open_inference")
check = CHECKS.check

PARTS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
WAIT = 20  # seconds in which a server that counts now and then must have counted


def _of(subject: Subject, target: str) -> list[dict[str, Any]]:
    reply = subject.server.get(target)
    found = strict(reply)["model_stats"]
    for model in found:
        expect(isinstance(model["name"], str), f"{model}")
        for name in ("inference_count", "execution_count", "last_inference"):
            expect(type(model[name]) is int and model[name] >= 0, f"{name}: {model[name]!r}")
        for name in PARTS:
            part = model["inference_stats"][name]
            fits = all(type(part[key]) is int and part[key] >= 0 for key in ("count", "ns"))
            expect(fits, f"{name}: {part!r}")
    return found


def _count(subject: Subject) -> int:
    found = [model for model in _of(subject, path(subject, "/stats")) if model["name"] == subject.model]
    expect(found, "the model is not among its own statistics")
    return sum(model["inference_stats"]["success"]["count"] for model in found)


@check("statistics.model", "GET /v2/models/M/stats: counts, and times in ns", STATISTICS)
def _(subject: Subject) -> str:
    extension(subject, "statistics")
    return f"{_count(subject)} inferences that succeeded"


@check("statistics.version", "GET /v2/models/M/versions/V/stats is of that version", STATISTICS)
def _(subject: Subject) -> str:
    extension(subject, "statistics")
    wanted = version(subject)
    found = _of(subject, path(subject, "/stats", version=wanted))
    expect([(model["name"], model.get("version")) for model in found] == [(subject.model, wanted)], f"{found}")
    return f"{found}"


@check("statistics.all", "GET /v2/models/stats is of all models", STATISTICS)
def _(subject: Subject) -> str:
    extension(subject, "statistics")
    found = {model["name"] for model in _of(subject, "/v2/models/stats")}
    expect(subject.model in found, f"{found}")
    return f"{sorted(found)}"


@check("statistics.counts", "an inference more is one more success", STATISTICS)
def _(subject: Subject) -> str:
    extension(subject, "statistics")
    before = _count(subject)
    same(subject, good(subject))
    deadline = time.monotonic() + WAIT
    while (after := _count(subject)) <= before:
        if time.monotonic() > deadline:
            raise Differs(f"{before} before, {after} after")
        time.sleep(0.1)
    return f"{before} before, {after} after"


@check("statistics.unknown", "refused: the statistics of a model that there is none", STATISTICS)
def _(subject: Subject) -> str:
    extension(subject, "statistics")
    return error(subject, subject.server.get(path(subject, "/stats", model=NOBODY)))
