"""Health, metadata and inference in JSON: what every server of the protocol has."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import numpy as np

from ..checks import REFUSALS, Checks, NotApplicable, expect, parsed, strict
from ..describe import by_open_inference
from ..server import Reply
from ..subject import Subject
from ..tensors import DTYPES
from .talk import (
    JSON,
    NEVER,
    NOBODY,
    SPEC,
    error,
    finite,
    good,
    infer,
    json_request,
    metadata,
    outputs,
    path,
    reference,
    request,
    same,
    split,
    usable,
    version,
)

CHECKS = Checks("open_inference")
check = CHECKS.check

HEALTH = f"{SPEC}: Health"
SERVER = f"{SPEC}: Server Metadata"
MODEL = f"{SPEC}: Model Metadata"
INFERENCE = f"{SPEC}: Inference"

# --- Health ---------------------------------------------------------------------------------------------------------


@check("live", "GET /v2/health/live is 200", HEALTH)
def _(subject: Subject) -> str:
    reply = subject.server.get("/v2/health/live")
    expect(reply.status == 200, reply.summary())
    return reply.summary()


@check("ready", "GET /v2/health/ready is 200", HEALTH)
def _(subject: Subject) -> str:
    reply = subject.server.get("/v2/health/ready")
    expect(reply.status == 200, reply.summary())
    return reply.summary()


@check("live.body", 'GET /v2/health/live says {"live": true}; KServe\'s client reads it', HEALTH, required=False)
def _(subject: Subject) -> str:
    reply = subject.server.get("/v2/health/live")
    expect(strict(reply).get("live") is True, reply.summary())
    return reply.summary()


@check("ready.body", 'GET /v2/health/ready says {"ready": true}; KServe\'s client reads it', HEALTH, required=False)
def _(subject: Subject) -> str:
    reply = subject.server.get("/v2/health/ready")
    expect(strict(reply).get("ready") is True, reply.summary())
    return reply.summary()


@check("model_ready", "GET /v2/models/M/ready is 200", HEALTH)
def _(subject: Subject) -> str:
    reply = subject.server.get(path(subject, "/ready"))
    expect(reply.status == 200, reply.summary())
    return reply.summary()


@check("model_ready.body", 'GET /v2/models/M/ready says {"name": M, "ready": true}', HEALTH, required=False)
def _(subject: Subject) -> str:
    reply = subject.server.get(path(subject, "/ready"))
    said = strict(reply)
    expect((said.get("name"), said.get("ready")) == (subject.model, True), reply.summary())
    return reply.summary()


@check("model_ready.version", "GET /v2/models/M/versions/V/ready is 200", HEALTH)
def _(subject: Subject) -> str:
    reply = subject.server.get(path(subject, "/ready", version=version(subject)))
    expect(reply.status == 200, reply.summary())
    return reply.summary()


@check("model_ready.unknown", "GET /v2/models/UNKNOWN/ready is no 200", HEALTH)
def _(subject: Subject) -> str:
    reply = subject.server.get(path(subject, "/ready", model=NOBODY))
    expect(400 <= reply.status <= 503 and reply.status != 500, reply.summary())
    return reply.summary()


# --- Metadata -------------------------------------------------------------------------------------------------------


@check("metadata.server", "GET /v2 tells name, version and extensions", SERVER)
def _(subject: Subject) -> str:
    reply = subject.server.get("/v2")
    said = strict(reply)
    expect(all(isinstance(said.get(key), str) for key in ("name", "version")), reply.summary())
    expect(isinstance(said.get("extensions"), list), f"extensions: {said.get('extensions')!r}")
    expect(all(isinstance(name, str) for name in said["extensions"]), f"extensions: {said['extensions']!r}")
    return reply.summary()


@check(
    "metadata.slash",
    "GET /v2/, as the OpenAPI document has it, tells the same",
    "open_inference_rest.yaml",
    required=False,
)
def _(subject: Subject) -> str:
    reply = subject.server.get("/v2/")
    if 300 <= reply.status < 400:
        return f"{reply.status} to {reply.headers.get('Location')}"
    expect(strict(reply) == strict(subject.server.get("/v2")), reply.summary())
    return reply.summary()


@check("metadata.model", "GET /v2/models/M tells name, platform, and name, datatype and shape of each tensor", MODEL)
def _(subject: Subject) -> str:
    found = metadata(subject)
    expect(found.get("name") == subject.model, f"name: {found.get('name')!r}")
    expect(isinstance(found.get("platform"), str), f"platform: {found.get('platform')!r}")
    for key in ("inputs", "outputs"):
        expect(isinstance(found.get(key), list) and found[key], f"{key}: {found.get(key)!r}")
        for tensor in found[key]:
            fits = isinstance(tensor["name"], str) and tensor["datatype"] in {*DTYPES, "BF16"}  # Triton's own
            fits = fits and all(type(size) is int and size >= -1 for size in tensor["shape"])
            expect(fits, f"{key}: {tensor!r}")
    versions = found.get("versions") or []
    expect(isinstance(versions, list) and all(isinstance(v, str) for v in versions), f"versions: {versions!r}")
    return json.dumps(found)


@check("metadata.version", "GET /v2/models/M/versions/V tells the same tensors", MODEL)
def _(subject: Subject) -> str:
    reply = subject.server.get(path(subject, version=version(subject)))
    said, whole = strict(reply), metadata(subject)
    expect((said["name"], said["inputs"]) == (whole["name"], whole["inputs"]), reply.summary())
    return reply.summary()


@check("metadata.unknown_model", "GET /v2/models/UNKNOWN is an error", MODEL)
def _(subject: Subject) -> str:
    return error(subject, subject.server.get(path(subject, model=NOBODY)))


@check("metadata.unknown_model.404", "GET /v2/models/UNKNOWN is 404", "Triton, KServe and MLServer", required=False)
def _(subject: Subject) -> str:
    return error(subject, subject.server.get(path(subject, model=NOBODY)), {404})


@check("metadata.unknown_version", "GET /v2/models/M/versions/UNKNOWN is an error", MODEL)
def _(subject: Subject) -> str:
    version(subject)
    return error(subject, subject.server.get(path(subject, version=NEVER)))


# --- Inference ------------------------------------------------------------------------------------------------------


@check("infer.flat", "data may be flat, row by row; the answer is whole and strict JSON", INFERENCE)
def _(subject: Subject) -> str:
    reply = infer(subject, request(subject))
    same(subject, reply)
    return reply.summary()


@check("infer.nested", "data may be nested as the shape is", INFERENCE)
def _(subject: Subject) -> str:
    return same(subject, infer(subject, request(subject, flat=False)))


@check("infer.content_type", "an answer in JSON is application/json", INFERENCE)
def _(subject: Subject) -> str:
    reply = infer(subject, request(subject))
    expect(reply.kind.partition(";")[0].strip() == "application/json", f"Content-Type: {reply.kind!r}")
    return reply.kind


@check("infer.answers", "the answer has the values that the facts tell", INFERENCE)
def _(subject: Subject) -> str:
    if not subject.facts.answers:
        raise NotApplicable("no answers are known: name them in a file of facts")
    found = reference(subject)
    told = {name: list(np.ravel(value)) for name, value in subject.answers().items()}
    expect(subject.same({name: value.ravel() for name, value in found.items()}, told), f"{found}")
    return f"{found}"


@check("infer.tensors", "every output has the name, datatype and shape that the metadata tells", INFERENCE)
def _(subject: Subject) -> str:
    found = outputs(good(subject))
    if not subject.facts.outputs:
        raise NotApplicable("no outputs of the model are known: name them by --facts")
    expect(set(found) == {tensor.name for tensor in subject.facts.outputs}, f"outputs {sorted(found)}")
    for tensor in subject.facts.outputs:
        output = found[tensor.name]
        fits = len(output.shape) == len(tensor.shape)
        fits = fits and all(told in (-1, size) for told, size in zip(tensor.shape, output.shape, strict=True))
        expect(fits, f"{tensor.name!r} has shape {output.shape}, told {list(tensor.shape)}")
        expect(output.datatype == tensor.datatype, f"{tensor.name!r} is {output.datatype}, told {tensor.datatype}")
    return ", ".join(f"{name} {output.datatype} {output.shape}" for name, output in found.items())


@check("infer.no_nulls", "what an answer does not have is left out, not null", INFERENCE, required=False)
def _(subject: Subject) -> str:
    reply = infer(subject, request(subject))
    said = strict(reply)
    nulls = [name for part in (said, *said["outputs"]) for name, value in part.items() if value is None]
    expect(not nulls, f"null: {', '.join(nulls)}")
    return reply.summary()


@check("infer.model_name", "the answer tells the model's name, and its version as text", INFERENCE)
def _(subject: Subject) -> str:
    said, _ = split(good(subject))
    expect(said.get("model_name") == subject.model, f"model_name: {said.get('model_name')!r}")
    expect(isinstance(said.get("model_version") or "", str), f"model_version: {said.get('model_version')!r}")
    return f"{said['model_name']}, {said.get('model_version')}"


@check("infer.id", "the answer has the request's id", INFERENCE)
def _(subject: Subject) -> str:
    said = strict(infer(subject, request(subject) | {"id": "the-seventh: é"}))
    expect(said.get("id") == "the-seventh: é", f"id: {said.get('id')!r}")
    return said["id"]


@check("infer.one_output", "outputs: those asked for, and no other, come back", INFERENCE)
def _(subject: Subject) -> str:
    wanted = next(iter(reference(subject)))
    found = outputs(infer(subject, request(subject) | {"outputs": [{"name": wanted}]}))
    expect(list(found) == [wanted], f"asked for {wanted!r}, got {list(found)}")
    return f"{list(found)}"


@check("infer.no_outputs", "outputs: [] asks for all", INFERENCE, required=False)
def _(subject: Subject) -> str:
    return same(subject, infer(subject, request(subject) | {"outputs": []}))


@check("infer.not_finite", "NaN or Infinity in an output, wanted in JSON: strict JSON, or refused", INFERENCE)
def _(subject: Subject) -> str:
    usable(subject)
    body = json_request(subject)
    wanted = [n for n, value in reference(subject).items() if value.dtype != np.float16 and not finite(value)]
    if not wanted:
        raise NotApplicable("no output that JSON could hold is NaN or Infinity")
    reply = infer(subject, body | {"outputs": [{"name": name} for name in wanted]})
    if reply.status != 200:
        return error(subject, reply)
    strict(reply)
    return reply.summary()


@check("infer.parameters", "parameters that the server does not know change nothing", f"{SPEC}: Parameters")
def _(subject: Subject) -> str:
    body = request(subject) | {"parameters": {"a": "text", "b": 7, "c": True}}
    body["inputs"][0]["parameters"] = {"d": 0.5}
    return same(subject, infer(subject, body))


def _add_nulls() -> None:
    nulls: list[tuple[str, str, Callable[[Subject, dict[str, Any]], object]]] = [
        ("id", "id", lambda s, r: r.update(id=None)),
        ("parameters", "parameters", lambda s, r: r.update(parameters=None)),
        ("outputs", "outputs", lambda s, r: r.update(outputs=None)),
        ("input_parameters", "an input's parameters", lambda s, r: [i.update(parameters=None) for i in r["inputs"]]),
        (
            "output_parameters",
            "an output's parameters",
            lambda s, r: r.update(outputs=[{"name": name, "parameters": None} for name in reference(s)]),
        ),
    ]
    for id, field, change in nulls:

        def judge(subject: Subject, change: Callable[[Subject, dict[str, Any]], object] = change) -> str:
            body = request(subject)
            change(subject, body)
            reply = infer(subject, body)
            same(subject, reply)
            said = strict(reply).get("id")
            expect(said is None or isinstance(said, str), f"id: {said!r}")
            return reply.summary()

        asks = f"null for {field} is as if it were left out: MLServer's own types write it so"
        CHECKS.add(f"infer.null.{id}", asks, INFERENCE, judge, required=False)


_add_nulls()


@check("infer.order", "inputs may come in any order", INFERENCE)
def _(subject: Subject) -> str:
    body = request(subject)
    if len(body["inputs"]) < 2:
        raise NotApplicable("the model has one input")
    return same(subject, infer(subject, {"inputs": body["inputs"][::-1]}))


@check("infer.batch", "an instance gets the same answer alone and among others", INFERENCE)
def _(subject: Subject) -> str:
    by_open_inference(subject)
    if not subject.batches():
        raise NotApplicable("the model takes a fixed number of instances")
    reply = infer(subject, request(subject, count=1))
    alone, together = outputs(reply), reference(subject)
    expect(
        subject.same({n: o.values for n, o in alone.items()}, {n: v[:1] for n, v in together.items()}), reply.summary()
    )
    return reply.summary()


@check("infer.version", "POST /v2/models/M/versions/V/infer answers, and tells the version", INFERENCE)
def _(subject: Subject) -> str:
    wanted = version(subject)
    target = path(subject, "/infer", version=wanted)
    reply = subject.server.post(target, json.dumps(request(subject)).encode(), JSON)
    same(subject, reply)
    expect(strict(reply).get("model_version", wanted) == wanted, reply.summary())
    return reply.summary()


# --- What is not there ----------------------------------------------------------------------------------------------


def _asked(subject: Subject, target: str) -> Reply:
    return subject.server.post(target, json.dumps(request(subject)).encode(), JSON)


@check("infer.unknown_model", "POST /v2/models/UNKNOWN/infer is an error", f"{SPEC}: Inference Response Errors")
def _(subject: Subject) -> str:
    return error(subject, _asked(subject, path(subject, "/infer", model=NOBODY)))


@check("infer.unknown_model.404", "... namely 404", "Triton, KServe and MLServer", required=False)
def _(subject: Subject) -> str:
    return error(subject, _asked(subject, path(subject, "/infer", model=NOBODY)), {404})


@check("infer.unknown_version", "POST /v2/models/M/versions/UNKNOWN/infer is an error", f"{SPEC}: Inference")
def _(subject: Subject) -> str:
    version(subject)
    return error(subject, _asked(subject, path(subject, "/infer", version=NEVER)))


def _add_paths() -> None:
    malformed = {
        "no_name": "/v2/models//infer",
        "version_no_number": "/v2/models/{model}/versions/first/infer",
        "version_empty": "/v2/models/{model}/versions//infer",
        "version_huge": "/v2/models/{model}/versions/99999999999999999999999999/infer",
        "verb": "/v2/models/{model}/no-such-call",
        "name_nul": "/v2/models/%00/infer",
        "name_not_utf8": "/v2/models/%ff%fe/infer",
        "name_dots": "/v2/models/..%2F..%2Fetc/infer",
        "top": "/v2/no-such-call",
    }
    for name, target in malformed.items():

        def judge(subject: Subject, target: str = target) -> str:
            reply = _asked(subject, target.replace("{model}", quote(subject.model, safe="")))
            expect(reply.status in (*REFUSALS, 501), reply.summary())
            return reply.summary()

        CHECKS.add(f"path.{name}", f"refused: POST {target}", f"{SPEC}: HTTP/REST", judge)


_add_paths()


@check("path.method", "GET on .../infer is 405, with an error in JSON", "Triton and KServe", required=False)
def _(subject: Subject) -> str:
    reply = subject.server.get(path(subject, "/infer"))
    expect(reply.status == 405, reply.summary())
    said = parsed(reply)
    expect(isinstance(said, dict) and isinstance(said.get("error"), str), reply.summary())
    return reply.summary()
