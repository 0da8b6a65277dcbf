"""What Triton's own Python client gets. Applicable where it is installed: pip install tritonclient[http]."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ..checks import Checks, Differs, NotApplicable, expect
from ..describe import by_open_inference
from ..subject import Subject
from .classification import scores
from .compression import understood
from .talk import NOBODY, extension, reference, request, usable

CHECKS = Checks("open_inference")
check = CHECKS.check

SECTION = "tritonclient.http"


@contextlib.contextmanager
def _client(subject: Subject) -> Iterator[tuple[Any, Any]]:
    """The client's module, and one of its clients. An error of its own is a difference."""
    try:
        import tritonclient.http as triton
        from tritonclient.utils import InferenceServerException
    except ImportError:
        raise NotApplicable("tritonclient is not installed") from None
    # With headers of each call's own: the client writes into what it is given.
    scheme, _, address = subject.server.url.partition("://")
    with contextlib.closing(triton.InferenceServerClient(address, ssl=scheme == "https")) as client:
        try:
            yield triton, client
        except InferenceServerException as error:
            raise Differs(f"{error}") from error


def _infer(subject: Subject, *, binary: bool, **more: Any) -> str:
    by_open_inference(subject)
    usable(subject)
    if not binary:
        request(subject)
    with _client(subject) as (triton, client):
        inputs = []
        for tensor in subject.facts.inputs:
            value = subject.values()[tensor.name]
            if not binary and any(isinstance(item, bytes) for item in value.flat):
                raise NotApplicable(f"JSON cannot hold the bytes of {tensor.name!r}")
            inputs.append(triton.InferInput(tensor.name, list(value.shape), tensor.datatype))
            inputs[-1].set_data_from_numpy(value, binary_data=binary)
        outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in reference(subject)]
        wanted = {} if binary else {"outputs": outputs}
        answer = client.infer(subject.model, inputs, headers=dict(subject.server.headers), **wanted, **more)
        found = {name: answer.as_numpy(name) for name in reference(subject)}
    expect(subject.same(found, reference(subject)), f"other values: {found}")
    return f"{ {name: value.shape for name, value in found.items()} }"


@check("client.health", "Triton's client finds server and model live and ready", SECTION)
def _(subject: Subject) -> str:
    headers = subject.server.headers
    with _client(subject) as (_, client):
        found = client.is_server_live(dict(headers)), client.is_server_ready(dict(headers))
        found = (*found, client.is_model_ready(subject.model, headers=dict(headers)))
        unknown = client.is_model_ready(NOBODY, headers=dict(headers))
    expect(all(found) and not unknown, f"live, ready, model ready: {found}; unknown model ready: {unknown}")
    return f"{found}"


@check("client.metadata", "... reads the metadata of server and model", SECTION)
def _(subject: Subject) -> str:
    with _client(subject) as (_, client):
        server = client.get_server_metadata(headers=dict(subject.server.headers))
        model = client.get_model_metadata(subject.model, headers=dict(subject.server.headers))
    expect(model["name"] == subject.model and "extensions" in server, f"{server}, {model}")
    return f"{server}"


@check("client.infer", "... gets the same answers by its defaults: binary both ways", SECTION)
def _(subject: Subject) -> str:
    extension(subject, "binary_tensor_data")
    return _infer(subject, binary=True)


@check("client.infer_json", "... and in JSON", SECTION)
def _(subject: Subject) -> str:
    return _infer(subject, binary=False)


@check("client.gzip", "... and with both ways compressed", SECTION)
def _(subject: Subject) -> str:
    extension(subject, "binary_tensor_data")
    understood(subject)
    return _infer(subject, binary=True, request_compression_algorithm="gzip", response_compression_algorithm="deflate")


@check("client.classification", "... and classes, by class_count", SECTION)
def _(subject: Subject) -> str:
    extension(subject, "binary_tensor_data")
    name, known = scores(subject)
    with _client(subject) as (triton, client):
        inputs = []
        for tensor in subject.facts.inputs:
            inputs.append(triton.InferInput(tensor.name, list(subject.values()[tensor.name].shape), tensor.datatype))
            inputs[-1].set_data_from_numpy(subject.values()[tensor.name])
        outputs = [triton.InferRequestedOutput(name, class_count=1)]
        answer = client.infer(subject.model, inputs, outputs=outputs, headers=dict(subject.server.headers))
        found = answer.as_numpy(name)
    best = [int(text.decode().split(":")[1]) for text in found.ravel()]
    expect([row[i] for row, i in zip(known, best, strict=True)] == known.max(axis=1).tolist(), f"{found} of {known}")
    return f"{found}"


@check("client.error", "... reads the text of an error", SECTION)
def _(subject: Subject) -> str:
    with _client(subject):
        pass
    try:
        with _client(subject) as (_, client):
            client.get_model_metadata(NOBODY, headers=dict(subject.server.headers))
    except Differs as error:
        expect("an exception occurred" not in str(error), str(error))  # its own words where it cannot read ours
        return str(error)
    raise Differs("there was none")


@check("client.index", "... and the index of models", SECTION)
def _(subject: Subject) -> str:
    extension(subject, "model_repository")
    with _client(subject) as (_, client):
        found = client.get_model_repository_index(headers=dict(subject.server.headers))
    expect(subject.model in {model["name"] for model in found}, f"{found}")
    return f"{len(found)} models"


@check("client.statistics", "... and statistics", SECTION)
def _(subject: Subject) -> str:
    extension(subject, "statistics")
    with _client(subject) as (_, client):
        found = client.get_inference_statistics(subject.model, headers=dict(subject.server.headers))
    expect(found["model_stats"][0]["name"] == subject.model, f"{found}")
    return f"{found['model_stats'][0]['inference_stats']['success']}"
