"""The OpenAPI document: valid, and true of the server that hands it out."""

from __future__ import annotations

import base64
import io
from typing import Any

import hypothesis
import numpy as np
import pytest
import requests
import schemathesis
from hypothesis import strategies
from openapi_spec_validator import validate
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance, unsupported_method

from app import create_app
from app.admission import DEADLINE_HEADER
from app.openapi.document import document
from app.settings import Settings
from tests import pictures
from tests.servers import Server

pytestmark = pytest.mark.server


def documented() -> dict[str, Any]:
    """The document of the shipped model."""
    kiln = create_app(Settings(load_wait=60)).extensions["kiln"]
    return document([kiln["store"].get()], Settings(), kiln["dialects"])


# Schemathesis wants the document when it collects tests. The first test shows that the server's is the same.
DOCUMENT = documented()
schema = schemathesis.openapi.from_dict(DOCUMENT)

# Raw bodies are real pictures from the start, each of its own kind.
for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff"):
    square = pictures.encoded(Image.new("RGB", (32, 32), "teal"), kind)
    schemathesis.openapi.media_type(f"image/{kind}", strategies.just(square))

# And arrays and lines are those that the shipped model takes.
line = b'{"b64": "%s"}\n' % base64.b64encode(pictures.encoded(Image.new("RGB", (32, 32)), "png"))
schemathesis.openapi.media_type("application/jsonlines", strategies.just(line * 2))
file = io.BytesIO()
np.save(file, np.zeros((1, 128, 128, 3), "f4"))
schemathesis.openapi.media_type("application/x-npy", strategies.just(file.getvalue()))
PREDICTIONS = ("/predict", "/invocations", "/score", "/invoke")


def test_the_server_hands_out_this_document(base: Server) -> None:
    assert requests.get(f"{base.url}/openapi.json", timeout=10).json() == DOCUMENT


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


def test_the_document_is_valid_while_the_model_is_not_ready() -> None:
    validate(document([], Settings(), ()))


def with_pictures(case: schemathesis.Case, photo: bytes) -> dict[str, Any]:
    """Put a real picture where the generated request has made-up bytes: arguments of the call that override it."""
    if case.media_type == "multipart/form-data":
        return {"files": [(name, ("photo.jpg", photo)) for name in case.body]}
    picture = {"b64": base64.b64encode(photo).decode()}
    if case.path.endswith((":predict", ":classify")):
        [(key, sent)] = ((key, case.body[key]) for key in ("instances", "inputs", "examples") if key in case.body)
        return {"json": case.body | {key: [{"image": picture} if "image" in item else picture for item in sent]}}
    if case.media_type == "application/json":
        key = next(iter({"instances", "inputs"} & case.body.keys()), "")
        b64 = {"b64": base64.b64encode(photo).decode()}
        return {"json": case.body | {key: [b64 for _ in case.body[key]]} if key else b64}
    if case.media_type == "application/octet-stream":
        return {"data": photo}
    return {}


@schema.parametrize()
@hypothesis.settings(max_examples=20, deadline=None, derandomize=True, database=None)
def test_the_server_keeps_to_the_document(case: schemathesis.Case, service: Server, photo: bytes) -> None:
    """Every status, type, header and body is as declared; what the document allows is taken, the rest refused."""
    positive = case.meta.generation.mode is GenerationMode.POSITIVE
    acceptable = (case.path in PREDICTIONS or case.path.endswith(("predict", ":classify"))) and positive
    if acceptable:  # which versions and labels there are is not the document's to say
        case.query = {name: value for name, value in case.query.items() if name not in ("version", "label")}
        case.headers = {name: value for name, value in case.headers.items() if name != DEADLINE_HEADER}  # may be 0
    answer = case.call_and_validate(
        base_url=service.url,
        excluded_checks=misleading(case, positive),
        **(with_pictures(case, photo) if acceptable else {}),
    )
    if acceptable and not {"version", "label"} & set(case.path_parameters):
        assert answer.status_code == 200


def misleading(case: schemathesis.Case, positive: bool) -> list[Any]:
    """Checks that do not hold: a query may have names that nobody knows, which a document cannot say. And TensorFlow
    Serving has it that a method that it does not have is a malformed request; a label that no version has is one, too;
    and what the shipped model cannot do, it says when it is asked."""
    unknown = [negative_data_rejection] if "x-schemathesis-unknown-property" in case.query else []
    if not case.path.startswith("/v1/"):
        return unknown
    refuses = case.path.endswith(":regress") or "{label}" in case.path
    return [*unknown, unsupported_method, *([positive_data_acceptance] if positive and refuses else [])]
