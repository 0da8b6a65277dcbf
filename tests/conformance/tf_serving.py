"""TensorFlow Serving's REST API. There is one original, so that its texts count: its clients match on them."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from . import pairs
from .checks import Checks, Dialect, NotApplicable, answered, expect, message, parsed, refused, succeeded
from .describe import by_tf_serving
from .rows import (
    UNCONVERTED,
    agree,
    by_name,
    cell,
    columns,
    convertible,
    named_rows,
    plain_rows,
    predictions,
    row_by_row,
    several,
)
from .server import Reply, members
from .subject import Subject

CHECKS = Checks("tf_serving")
check = CHECKS.check

NOBODY = "no-such-model"
NEVER = "999999"  # a version that no model has
STATES = {"UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"}

STATUS = "api_rest.md: Model status API"
METADATA = "api_rest.md: Model Metadata API"
PREDICT = "api_rest.md: Predict API"
CLASSIFY = "api_rest.md: Classify and Regress API"
ERROR = "api_rest.md: Error response"
ROUTES = "http_rest_api_handler.cc"
ENCODING = "api_rest.md: Encoding binary values"
NUMBERS = "api_rest.md: JSON Conformance"
GZIP = "RFC 1952, 2.2: File format"


def offered(subject: Subject) -> bool:
    """Does the model have a status of this form?"""
    reply = subject.server.get(path(subject))
    try:
        return reply.status == 200 and "model_version_status" in json.loads(reply.content)
    except (TypeError, ValueError, RecursionError):
        return False


def path(subject: Subject, rest: str = "", *, model: str = "") -> str:
    """A path of the model's: its status, or what is below."""
    return f"/v1/models/{quote(model or subject.model, safe='')}{rest}"


def ask(
    subject: Subject, body: Any, rest: str = ":predict", *, model: str = "", headers: Mapping[str, str] | None = None
) -> Reply:
    """POST JSON, or any bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return subject.server.post(path(subject, rest, model=model), content, headers)


def error(reply: Reply, status: int, text: str) -> str:
    """Check an error: its status, a part of its text, and that there is nothing beside it. Returns the answer."""
    refused(reply, {status})
    expect(text in message(reply), f"{reply.summary()}, expected the text {text!r}")
    expect(set(parsed(reply)) == {"error"}, f"more than an error: {reply.summary()}")
    return reply.summary()


# --- Status ---------------------------------------------------------------------------------------------------------


def _versions(reply: Reply) -> list[dict[str, Any]]:
    said = succeeded(reply)
    for entry in said["model_version_status"]:
        expect(isinstance(entry["version"], str) and entry["version"].isdigit(), f"version: {entry['version']!r}")
        expect(entry["state"] in STATES, f"state: {entry['state']!r}")
        texts = [entry["status"].get(key) for key in ("error_code", "error_message")]
        expect(all(isinstance(text, str) for text in texts), f"status: {entry['status']!r}")
    return said["model_version_status"]


def version(subject: Subject) -> str:
    """The newest version that is available."""
    found = _versions(subject.server.get(path(subject)))
    return next(entry["version"] for entry in found if entry["state"] == "AVAILABLE")


@check("status.model", "the status lists versions with state, error_code and error_message", STATUS)
def _(subject: Subject) -> str:
    reply = subject.server.get(path(subject))
    expect(_versions(reply), "no versions")
    return reply.summary()


@check("status.strict", "... and nothing else: a strict reader of get_model_status.proto takes no other key", STATUS)
def _(subject: Subject) -> str:
    reply = subject.server.get(path(subject))
    expect(set(succeeded(reply)) == {"model_version_status"}, reply.summary())
    for entry in _versions(reply):
        expect(set(entry) == {"version", "state", "status"}, f"{entry}")
        expect(set(entry["status"]) == {"error_code", "error_message"}, f"{entry}")
    return reply.summary()


@check("status.available", "a version is AVAILABLE, and OK", STATUS)
def _(subject: Subject) -> str:
    found = [entry for entry in _versions(subject.server.get(path(subject))) if entry["state"] == "AVAILABLE"]
    expect(found, "none is")
    expect(all(entry["status"] == {"error_code": "OK", "error_message": ""} for entry in found), f"{found}")
    return ", ".join(entry["version"] for entry in found)


@check("status.order", "the newest version comes first: many clients look at no other", "get_model_status_impl.cc")
def _(subject: Subject) -> str:
    found = [int(entry["version"]) for entry in _versions(subject.server.get(path(subject)))]
    expect(found == sorted(found, reverse=True), f"{found}")
    return f"{found}"


@check("status.version", "the status of a version is of that version alone", STATUS)
def _(subject: Subject) -> str:
    wanted = version(subject)
    reply = subject.server.get(path(subject, f"/versions/{wanted}"))
    found = _versions(reply)
    expect([entry["version"] for entry in found] == [wanted], reply.summary())
    return reply.summary()


@check("status.label", "a label in a status request is not looked at", "get_model_status_impl.cc", required=False)
def _(subject: Subject) -> str:
    reply = subject.server.get(path(subject, "/labels/no-such-label"))
    expect(_versions(reply) == _versions(subject.server.get(path(subject))), reply.summary())
    return reply.summary()


@check("status.unknown_model", "404 for a model that there is none", ROUTES)
def _(subject: Subject) -> str:
    text = f"Could not find any versions of model {NOBODY}"
    return error(subject.server.get(path(subject, model=NOBODY)), 404, text)


@check("status.unknown_version", "404 for a version that there is none", ROUTES)
def _(subject: Subject) -> str:
    text = f"Could not find version {NEVER} of model {subject.model}"
    return error(subject.server.get(path(subject, f"/versions/{NEVER}")), 404, text)


@check("status.content_type", "answers are application/json, without a charset", ROUTES, required=False)
def _(subject: Subject) -> str:
    kinds = {subject.server.get(path(subject, model=model)).kind for model in ("", NOBODY)}
    expect(kinds == {"application/json"}, f"{kinds}")
    return "application/json"


# --- Metadata -------------------------------------------------------------------------------------------------------


def _signature(reply: Reply, model: str) -> dict[str, Any]:
    said = succeeded(reply)
    spec = said["model_spec"]
    expect(set(said) == {"model_spec", "metadata"}, f"{list(said)}")
    expect(spec["name"] == model and spec["version"].isdigit() and spec["signature_name"] == "", f"{spec}")
    return said["metadata"]["signature_def"]["signature_def"]


@check("metadata.model", "the metadata: specification, and signatures nested twice, sizes as text", METADATA)
def _(subject: Subject) -> str:
    reply = subject.server.get(path(subject, "/metadata"))
    for name, signature in _signature(reply, subject.model).items():
        if name == "__saved_model_init_op":
            continue
        expect(isinstance(signature["method_name"], str), f"{name}: method_name")
        for key in ("inputs", "outputs"):
            for tensor in signature[key].values():
                shape = tensor["tensor_shape"]
                fits = tensor["dtype"].startswith("DT_") and isinstance(tensor["name"], str)
                fits = fits and all(isinstance(size["size"], str) and int(size["size"]) >= -1 for size in shape["dim"])
                expect(fits and isinstance(shape["unknown_rank"], bool), f"{name}: {tensor}")
    return reply.summary()


@check("metadata.default", "there is a signature serving_default", METADATA, required=False)
def _(subject: Subject) -> str:
    found = _signature(subject.server.get(path(subject, "/metadata")), subject.model)
    expect("serving_default" in found, f"{sorted(found)}")
    return f"{sorted(found)}"


@check("metadata.version", "the metadata of a version tells that version", METADATA)
def _(subject: Subject) -> str:
    wanted = version(subject)
    reply = subject.server.get(path(subject, f"/versions/{wanted}/metadata"))
    _signature(reply, subject.model)
    expect(parsed(reply)["model_spec"]["version"] == wanted, reply.summary())
    return reply.summary()


def _add_metadata_errors() -> None:
    absent = {
        "unknown_model": ("", NOBODY, 404, f"Servable not found for request: Latest({NOBODY})"),
        "unknown_version": (f"/versions/{NEVER}", "", 404, f"Servable not found for request: Specific({{}}, {NEVER})"),
        "unknown_label": ("/labels/no-such-label", "", 400, "Unrecognized servable version label: no-such-label"),
    }
    for id, (rest, model, status, text) in absent.items():

        def judge(
            subject: Subject, rest: str = rest, model: str = model, status: int = status, text: str = text
        ) -> str:
            reply = subject.server.get(path(subject, f"{rest}/metadata", model=model))
            return error(reply, status, text.replace("{}", subject.model))

        CHECKS.add(f"metadata.{id}", f"{status} for metadata of what is not there", ROUTES, judge)

        def predicted(
            subject: Subject, rest: str = rest, model: str = model, status: int = status, text: str = text
        ) -> str:
            reply = ask(subject, {"instances": [1]}, f"{rest}:predict", model=model)
            return error(reply, status, text.replace("{}", subject.model))

        CHECKS.add(f"predict.{id}", f"{status} for predictions of what is not there", ROUTES, predicted)


# --- Predict --------------------------------------------------------------------------------------------------------


def good(subject: Subject) -> Reply:
    """The answer to good rows. Raises NotApplicable where TensorFlow Serving refuses such a model's, too."""
    by_tf_serving(subject)
    row_by_row(subject)
    reply = ask(subject, {"instances": plain_rows(subject)})
    if reply.status in UNCONVERTED:
        convertible(subject)
    return reply


def reference(subject: Subject) -> list[Any]:
    """The predictions of the rows, asked for once. Whatever else is the same question must get the same answer."""
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
    found = predictions(succeeded(reply), len(known))
    expect(agree(subject, found, known), f"other predictions: {reply.summary()}")
    return reply.summary()


def same_columns(subject: Subject, reply: Reply) -> str:
    """Check that an answer in columns has the reference's values. Returns the answer."""
    known = by_name(subject, reference(subject))
    said = succeeded(reply)
    expect(set(said) == {"outputs"}, f"no outputs: {reply.summary()}")
    found = said["outputs"] if len(known) > 1 else {next(iter(known)): said["outputs"]}
    expect(agree(subject, found, known), f"other outputs: {reply.summary()}")
    return reply.summary()


@check("predict.rows", "instances: an item each, and a prediction for each", PREDICT)
def _(subject: Subject) -> str:
    reply = good(subject)
    same(subject, reply)
    return reply.summary()


@check("predict.named_rows", "instances as objects, by the inputs' names", PREDICT)
def _(subject: Subject) -> str:
    usable(subject)
    return same(subject, ask(subject, {"instances": named_rows(subject)}))


@check("predict.named_columns", "inputs: a tensor each, by its name", PREDICT)
def _(subject: Subject) -> str:
    usable(subject)
    return same_columns(subject, ask(subject, {"inputs": columns(subject)}))


@check("predict.columns", "inputs: the tensor itself, of a model that has one", PREDICT)
def _(subject: Subject) -> str:
    usable(subject)
    (column, *more) = columns(subject).values()
    if more:
        raise NotApplicable("the model has several inputs")
    return same_columns(subject, ask(subject, {"inputs": column}))


@check("predict.outputs", "predictions of several outputs are objects by their names, of one are plain", PREDICT)
def _(subject: Subject) -> str:
    usable(subject)
    names = {tensor.name for tensor in subject.facts.outputs}
    if not names:
        raise NotApplicable("no outputs of the model are known: name them by --facts")
    for row in reference(subject):
        expect(isinstance(row, dict) == (len(names) > 1), f"{row} of {len(names)} outputs")
        expect(len(names) == 1 or set(row) == names, f"{row}, not of {sorted(names)}")
    return f"{sorted(names)}"


@check("predict.answers", "the predictions have the values that the facts tell", PREDICT)
def _(subject: Subject) -> str:
    usable(subject)
    if not subject.facts.answers:
        raise NotApplicable("no answers are known: name them by --facts")
    found = by_name(subject, reference(subject))
    expect(agree(subject, found, subject.answers()), f"{found}")
    return f"{found}"


@check("predict.batch", "an instance gets the same answer alone and among others", PREDICT)
def _(subject: Subject) -> str:
    usable(subject)
    rows = plain_rows(subject)
    alone = [predictions(succeeded(ask(subject, {"instances": [row]})), 1)[0] for row in rows]
    expect(agree(subject, alone, reference(subject)), f"{alone}")
    return f"{len(rows)} instances"


@check("predict.version", "predictions of a version", PREDICT)
def _(subject: Subject) -> str:
    usable(subject)
    rest = f"/versions/{version(subject)}:predict"
    return same(subject, ask(subject, {"instances": plain_rows(subject)}, rest))


@check("predict.label", "predictions of a label", PREDICT)
def _(subject: Subject) -> str:
    usable(subject)
    if not subject.facts.label:
        raise NotApplicable("no label is known: name it by --facts")
    rows = plain_rows(subject)
    reply = ask(subject, {"instances": rows}, f"/labels/{quote(subject.facts.label, safe='')}:predict")
    predictions(succeeded(reply), len(rows))
    return reply.summary()


@check("predict.signature", "signature_name: serving_default is the default", PREDICT)
def _(subject: Subject) -> str:
    usable(subject)
    return same(subject, ask(subject, {"signature_name": "serving_default", "instances": plain_rows(subject)}))


@check("predict.unknown_keys", "what the server does not know in the body changes nothing", ROUTES)
def _(subject: Subject) -> str:
    usable(subject)
    return same(subject, ask(subject, {"a": 1, "instances": plain_rows(subject), "parameters": {}}))


@check("predict.content_type", "the request's Content-Type is not looked at", ROUTES)
def _(subject: Subject) -> str:
    usable(subject)
    return same(subject, ask(subject, {"instances": plain_rows(subject)}, headers={"Content-Type": "text/strange"}))


@check("predict.case", "a path's words may be in capitals, but for the model's name", ROUTES, required=False)
def _(subject: Subject) -> str:
    usable(subject)
    target = f"/V1/Models/{quote(subject.model, safe='')}:Predict"
    return same(subject, subject.server.post(target, json.dumps({"instances": plain_rows(subject)}).encode()))


@check("predict.trailing", "what follows the JSON is not looked at", ROUTES, required=False)
def _(subject: Subject) -> str:
    usable(subject)
    return same(subject, ask(subject, json.dumps({"instances": plain_rows(subject)}).encode() + b"\n} and more"))


@check("predict.gzip", "a body may be in gzip", ROUTES)
def _(subject: Subject) -> str:
    usable(subject)
    return same(subject, _compressed(subject, gzip.compress))


def _compressed(subject: Subject, pack: Callable[[bytes], bytes]) -> Reply:
    content = pack(json.dumps({"instances": plain_rows(subject)}).encode())
    return ask(subject, content, headers={"Content-Encoding": "gzip"})


@check("predict.gzip.members", "... of several members, although the original reads but one", GZIP, required=False)
def _(subject: Subject) -> str:
    usable(subject)
    if _compressed(subject, gzip.compress).status != 200:
        raise NotApplicable("the server does not understand a body in gzip")
    return same(subject, _compressed(subject, members))


@check("predict.not_finite", "NaN and Infinity are numbers in a request", NUMBERS)
def _(subject: Subject) -> str:
    usable(subject)
    rows = named_rows(subject)
    for tensor in subject.facts.inputs:
        if tensor.datatype in ("FP32", "FP64"):
            rows[0][tensor.name] = _replaced(rows[0][tensor.name], float("nan"))
            reply = ask(subject, {"instances": rows})
            predictions(succeeded(reply), len(rows))
            return reply.summary()
    raise NotApplicable("the model has no input of floats")


@check("predict.b64", 'a value of a string input may be {"b64": text}, with and without padding', ENCODING)
def _(subject: Subject) -> str:
    usable(subject)
    rows, coded = named_rows(subject), named_rows(subject)
    for tensor in subject.facts.inputs:
        if tensor.datatype == "BYTES":
            for row in coded:
                row[tensor.name] = _in_base64(row[tensor.name])
    if rows == coded:
        raise NotApplicable("the model has no string input, or its values were base64 before")
    return same(subject, ask(subject, {"instances": coded}))


def _in_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_base64(item) for item in value]
    return {"b64": base64.b64encode(value.encode()).decode().rstrip("=")} if isinstance(value, str) else value


def _replaced(value: Any, by: Any) -> Any:
    """A nested list with another first value."""
    if value == []:
        raise NotApplicable("an instance holds no value")
    return [_replaced(value[0], by), *value[1:]] if isinstance(value, list) else by


# --- Bad requests ---------------------------------------------------------------------------------------------------

BODIES: list[tuple[str, str, bytes, str]] = [
    ("empty", "no body", b"", "JSON Parse error: The document is empty"),
    ("words", "a body that is no JSON", b"instances = [1, 2]", "JSON Parse error: "),
    ("cut", "JSON that ends early", b'{"instances": [1, ', "JSON Parse error: "),
    ("list", "a list", b"[1, 2]", "Is not object"),
    (
        "signature_number",
        "a signature_name that is a number",
        b'{"signature_name": 100}',
        "'signature_name' key must be",
    ),
    ("neither", "neither instances nor inputs", b"{}", "Missing 'inputs' or 'instances' key"),
    ("both", "both", b'{"instances": [1], "inputs": [1]}', "expecting only one of 'inputs' or 'instances' keys"),
    ("instances_object", "instances that are an object", b'{"instances": {"x": 1}}', "Expecting 'instances' to be an"),
    ("instances_number", "instances that are a number", b'{"instances": 1}', "Expecting 'instances' to be an"),
    ("instances_empty", "no instances", b'{"instances": []}', "No values in 'instances' array"),
    (
        "signature_unknown",
        "a signature that there is none",
        b'{"signature_name": "none", "instances": [1]}',
        'Serving signature name: "none" not found in signature def',
    ),
]

# The change of good rows, and the text.
Change = Callable[[Subject, list[Any]], object]


def _one_input(subject: Subject) -> None:
    if len(subject.facts.inputs) != 1:
        raise NotApplicable("the model has several inputs")


def _numbers(subject: Subject, rank: int = 0) -> None:
    """Raises NotApplicable unless the one input is of numbers, its instances of this rank or more."""
    _one_input(subject)
    (tensor,) = subject.facts.inputs
    if not tensor.numeric:
        raise NotApplicable("the model has no input of numbers")
    if len(tensor.shape) <= rank:
        raise NotApplicable(f"an instance is no list{' of lists' if rank > 1 else ''}")


def _value_then_object(subject: Subject, rows: list[Any]) -> None:
    _numbers(subject)
    several(rows)
    rows[1] = {subject.facts.inputs[0].name: rows[1]}


def _object_then_value(subject: Subject, rows: list[Any]) -> None:
    _numbers(subject)
    several(rows)
    rows[0] = {subject.facts.inputs[0].name: rows[0]}


def _unknown_name(subject: Subject, rows: list[Any]) -> None:
    _one_input(subject)
    rows[:] = [{"no-such-input": row} for row in rows]


def _missing_name(subject: Subject, rows: list[Any]) -> None:
    if len(subject.facts.inputs) < 2:
        raise NotApplicable("the model has one input")
    del rows[0][subject.facts.inputs[0].name]


def _plain(subject: Subject, rows: list[Any]) -> None:
    if len(subject.facts.inputs) < 2:
        raise NotApplicable("the model has one input")
    rows[:] = [1, 2]


def _longer(subject: Subject, rows: list[Any]) -> None:
    _numbers(subject, rank=1)
    several(rows)
    rows[1] = [*rows[1], rows[1][0]]


def _ragged(subject: Subject, rows: list[Any]) -> None:
    _numbers(subject, rank=2)
    rows[0] = [rows[0][0][:-1], *rows[0][1:]]


def _text(subject: Subject, rows: list[Any]) -> None:
    _numbers(subject)
    rows[0] = _replaced(rows[0], "x")


def _null(subject: Subject, rows: list[Any]) -> None:
    _numbers(subject)
    rows[0] = _replaced(rows[0], None)


def _base64_for_numbers(subject: Subject, rows: list[Any]) -> None:
    _numbers(subject)
    rows[0] = _replaced(rows[0], {"b64": "AAAA"})


def _no_base64(text: str) -> Change:
    def change(subject: Subject, rows: list[Any]) -> None:
        _one_input(subject)
        if subject.facts.inputs[0].datatype != "BYTES":
            raise NotApplicable("the model has no string input")
        rows[0] = _replaced(rows[0], {"b64": text})

    return change


def _integer(value: Any) -> Change:
    def change(subject: Subject, rows: list[Any]) -> None:
        for tensor in subject.facts.inputs:
            if "INT" in tensor.datatype:
                one = len(subject.facts.inputs) == 1
                if one:
                    rows[0] = _replaced(rows[0], value)
                else:
                    rows[0][tensor.name] = _replaced(rows[0][tensor.name], value)
                return
        raise NotApplicable("the model has no input of integers")

    return change


ROWS: list[tuple[str, str, Change, str]] = [
    (
        "value_then_object",
        "an object after a value",
        _value_then_object,
        "Expecting value/list but got object at item 1",
    ),
    ("object_then_value", "a value after an object", _object_then_value, "Expecting object but got "),
    ("unknown_name", "an input that the model does not have", _unknown_name, "no-such-input"),
    ("missing_name", "an input left out", _missing_name, "keys must be equal to: "),
    ("plain", "plain values for several inputs", _plain, "instances is a plain list, but expecting list of objects"),
    ("longer", "an instance longer than the other", _longer, "Expecting tensor size: "),
    ("ragged", "lists of different lengths in an instance", _ragged, "Encountered list at unexpected size: "),
    ("text", "text among numbers", _text, "not of expected type: "),
    ("null", "null among numbers", _null, "not of expected type: "),
    ("base64_for_numbers", "base64 for an input of numbers", _base64_for_numbers, "not of expected type: "),
    ("base64_no_text", "base64 that is none", _no_base64("!?"), "Unable to base64 decode"),
    ("base64_of_urls", "base64 of the alphabet for URLs", _no_base64("_-__"), "Unable to base64 decode"),
    ("fraction", "a fraction for an integer", _integer(0.5), "not of expected type: "),
    ("whole_fraction", "1.0 for an integer", _integer(1.0), "not of expected type: "),
    ("beyond", "an integer beyond 64 bits", _integer(2**70), ""),
]


def _add_bad_requests() -> None:
    for id, wrong, content, text in BODIES:

        def body(subject: Subject, content: bytes = content, text: str = text) -> str:
            return error(ask(subject, content), 400, text)

        CHECKS.add(f"refuses.{id}", f"400: {wrong}", ERROR, body)

    for id, wrong, change, text in ROWS:

        def rows(subject: Subject, change: Change = change, text: str = text) -> str:
            usable(subject)
            changed = json.loads(json.dumps(plain_rows(subject)))
            change(subject, changed)
            return error(ask(subject, {"instances": changed}), 400, text)

        CHECKS.add(f"refuses.{id}", f"400: {wrong}", ERROR, rows)


# --- Routes ---------------------------------------------------------------------------------------------------------

MALFORMED = [
    ("GET", "/v1/foo"),
    ("POST", "/v1/foo"),
    ("GET", "/v1/models/{}/model_name"),
    ("GET", "/v1/models/{}:predict"),
    ("GET", "/v1/models/{}/version/50:predict"),
    ("POST", "/v1/models/{}/version/50:predict"),
    ("POST", "/v1/models/{}/versions/HELLO:regress"),
    ("POST", "/v1/models/{}/metadata"),
    ("POST", "/v1/models/{}/label/some_label:regress"),
    ("POST", "/v1/models/{}/versions/50/labels/some_label:regress"),
    ("POST", "/v1/models/{}"),
    ("POST", "/v1/models/{}:forecast"),
    ("GET", "/v1/models/{}/versions/HELLO"),
]


def _add_routes() -> None:
    for number, (method, target) in enumerate(MALFORMED):

        def judge(subject: Subject, method: str = method, target: str = target) -> str:
            reply = subject.server.send(method, target.replace("{}", quote(subject.model, safe="")), b"{}")
            return error(reply, 400, f"Malformed request: {method} /v1/")

        CHECKS.add(f"routes.malformed_{number}", f"400, no 404 or 405: {method} {target}", ROUTES, judge)


@check("routes.no_name", "400 for GET /v1/models; KServe V1 lists the models there", ROUTES, required=False)
def _(subject: Subject) -> str:
    return error(subject.server.get("/v1/models"), 400, "Missing model name in request")


@check("routes.version_beyond", "400 for a version beyond 64 bits", ROUTES)
def _(subject: Subject) -> str:
    number = "9" * 30
    reply = ask(subject, {"instances": [1]}, f"/versions/{number}:predict")
    return error(reply, 400, "Failed to convert version: ")


@check("routes.order", "a body is parsed before the model is looked up: 400 for a bad one, and no model", ROUTES)
def _(subject: Subject) -> str:
    return error(ask(subject, b"{", model=NOBODY), 400, "JSON Parse error: ")


@check("routes.options", "OPTIONS with an Origin is 200, and empty", ROUTES, required=False)
def _(subject: Subject) -> str:
    reply = subject.server.send("OPTIONS", path(subject, ":predict"), headers={"Origin": "http://example.org"})
    expect((reply.status, reply.content) == (200, b""), reply.summary())
    return reply.summary()


# --- Classify and regress -------------------------------------------------------------------------------------------


def _of_method(subject: Subject, method: str) -> tuple[str, dict[str, Any]]:
    """A signature's name, and a good example. Raises NotApplicable where the model has none."""
    found = _signature(subject.server.get(path(subject, "/metadata")), subject.model)
    for name, signature in found.items():
        if signature.get("method_name") == f"tensorflow/serving/{method}":
            usable(subject)
            several(plain_rows(subject))  # two examples are asked for
            return name, {t.name: cell(subject.values(1)[t.name][0], t) for t in subject.facts.inputs}
    raise NotApplicable(f"no signature to {method}")


@check("classify", 'classify: {"results": [[[label, score], ...], ...]}', CLASSIFY)
def _(subject: Subject) -> str:
    name, example = _of_method(subject, "classify")
    reply = ask(subject, {"signature_name": name, "examples": [example, example]}, ":classify")
    results = succeeded(reply)["results"]
    expect(len(results) == 2 and results[0] == results[1], reply.summary())
    for label, score in results[0]:
        expect(isinstance(label, str) and isinstance(score, float | int), f"{results[0]}")
    return reply.summary()


@check("regress", 'regress: {"results": [value, ...]}', CLASSIFY)
def _(subject: Subject) -> str:
    name, example = _of_method(subject, "regress")
    reply = ask(subject, {"signature_name": name, "examples": [example, example]}, ":regress")
    results = succeeded(reply)["results"]
    expect(len(results) == 2 and all(isinstance(value, float | int) for value in results), reply.summary())
    return reply.summary()


def _add_examples() -> None:
    bad = [
        ("missing", b"{}", "'examples' is expected and was not found"),
        ("no_list", b'{"examples": {}}', "Expecting 'examples' value to be an list/array"),
        ("empty", b'{"examples": []}', "'examples' value is an empty array"),
        ("no_object", b'{"examples": [1]}', "Example must be JSON object"),
    ]
    for method in ("classify", "regress"):
        for id, content, text in bad:

            def judge(subject: Subject, method: str = method, content: bytes = content, text: str = text) -> str:
                return error(ask(subject, content, f":{method}"), 400, text)

            asks = f"400 to {method} {content.decode()}, whatever the model"
            CHECKS.add(f"{method}.refuses.{id}", asks, CLASSIFY, judge, required=False)


_add_metadata_errors()
_add_bad_requests()
_add_routes()
_add_examples()


@check("and_lives", "after all of these, a good request is answered as before", PREDICT)
def _(subject: Subject) -> str:
    usable(subject)
    return same(subject, ask(subject, {"instances": plain_rows(subject)}))


DIALECT = Dialect(
    "tf_serving", "TensorFlow Serving REST", offered, (*CHECKS, *pairs.checks("tf_serving", "json_tensor_test.cc"))
)
