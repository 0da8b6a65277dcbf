"""A stand-in for TensorFlow Serving, which no package index has: half_plus_two, y = x / 2 + 2, as its REST API answers.

Written from its documentation and its published pairs of request and answer, to try the conformance kit: a server that
does all right must pass, and each of its faults must be found.
"""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

MODEL, VERSION, LABEL = "half_plus_two", "123", "stable"
SIZE = 3  # numbers in an instance

POST = re.compile(r"(?i)/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict)")
GET = re.compile(r"(?i)/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?")

# What may be wrong with it.
FAULTS = (
    "oldest first",
    "version a number",
    "404 for malformed",
    "no gzip",
    "text is 500",
    "wrong in batches",
    "more in errors",
    "html errors",
    "strict about what follows",
    "drops a prediction",
    "hangs up on null",
)


class Refusal(Exception):
    """An error: its status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class StandIn(http.server.ThreadingHTTPServer):
    """The server. fault: one of FAULTS, or none."""

    daemon_threads = True

    def __init__(self, fault: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        assert fault in ("", *FAULTS), fault
        self.fault = fault

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def serving(fault: str = "") -> Iterator[StandIn]:
    """The stand-in in a thread, until the end of the block."""
    with StandIn(fault) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Handler(http.server.BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_OPTIONS = do_GET

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.fault
        try:
            if self.command == "OPTIONS":
                return self._send(200, b"")
            if fault == "hangs up on null" and b"null" in body:
                return None
            status, said = 200, self._get() if self.command == "GET" else self._post(self._decompressed(body))
        except Refusal as refusal:
            status, said = refusal.status, {"error": str(refusal)}
            if fault == "404 for malformed" and "Malformed" in str(refusal):
                status = 404
            if fault == "text is 500" and "Type: String" in str(refusal):
                status = 500
            if fault == "more in errors":
                said["code"] = status
            if fault == "html errors":
                return self._send(status, b"<h1>error</h1>")
        self._send(status, json.dumps(said, indent=4).encode())

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _decompressed(self, body: bytes) -> bytes:
        if "gzip" not in self.headers.get("Content-Encoding", "") or self.server.fault == "no gzip":
            return body
        return gzip.decompress(body)

    # --- What it answers --------------------------------------------------------------------------------------------

    def _get(self) -> dict[str, Any]:
        found = GET.fullmatch(self.path)
        if not found:
            raise Refusal(400, f"Malformed request: GET {self.path}")
        model, version, label, metadata = found.groups()
        if not model:
            raise Refusal(400, "Missing model name in request.")
        if metadata:
            return _metadata(_servable(model, version, label))
        if model != MODEL:
            raise Refusal(404, f"Could not find any versions of model {model}")
        known = [VERSION, "122"]
        if version and version not in known:
            raise Refusal(404, f"Could not find version {version} of model {model}")
        listed = [version] if version else known
        if self.server.fault == "oldest first":
            listed = listed[::-1]
        return {"model_version_status": [self._status(version) for version in listed]}

    def _status(self, version: str) -> dict[str, Any]:
        return {
            "version": int(version) if self.server.fault == "version a number" else version,
            "state": "AVAILABLE" if version == VERSION else "END",
            "status": {"error_code": "OK", "error_message": ""},
        }

    def _post(self, body: bytes) -> dict[str, Any]:
        found = POST.fullmatch(self.path)
        if not found:
            raise Refusal(400, f"Malformed request: POST {self.path}")
        model, version, label, method = found.groups()
        if version and int(version) >= 2**63:
            raise Refusal(400, f"Failed to convert version: {version} to numeric.")
        request = self._parsed(body)
        if method.lower() != "predict":
            return _examples(request)
        signature = request.get("signature_name", "serving_default")
        if not isinstance(signature, str):
            raise Refusal(400, "'signature_name' key must be a string value.")
        _servable(model, version, label)
        if signature != "serving_default":
            raise Refusal(400, f'Serving signature name: "{signature}" not found in signature def')
        if "instances" in request and "inputs" in request:
            raise Refusal(400, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
        if "instances" in request:
            return {"predictions": self._computed(_rows(request["instances"]))}
        if "inputs" in request:
            given = request["inputs"]
            return {"outputs": self._computed(given["x"] if isinstance(given, dict) else given)}
        raise Refusal(400, "Missing 'inputs' or 'instances' key")

    def _parsed(self, body: bytes) -> dict[str, Any]:
        try:
            text = body.decode().lstrip()
            if not text:
                raise Refusal(400, "JSON Parse error: The document is empty")
            request, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError) as error:
            raise Refusal(400, f"JSON Parse error: Invalid value. at offset: {getattr(error, 'pos', 0)}") from error
        if self.server.fault == "strict about what follows" and text[end:].strip():
            raise Refusal(400, f"JSON Parse error: more at offset: {end}")
        if not isinstance(request, dict):
            raise Refusal(400, "JSON Value: [] Is not object")
        return request

    def _computed(self, rows: list[list[float]]) -> list[list[float]]:
        add = 3 if self.server.fault == "wrong in batches" and len(rows) > 1 else 2
        found = [[value / 2 + add for value in row] for row in rows]
        return found[:-1] if self.server.fault == "drops a prediction" else found

    def log_message(self, *_: object) -> None:
        pass


def _servable(model: str, version: str | None, label: str | None) -> str:
    if model != MODEL:
        raise Refusal(404, f"Servable not found for request: Latest({model})")
    if label and label != LABEL:
        raise Refusal(400, f"Unrecognized servable version label: {label}")
    if version and version != VERSION:
        raise Refusal(404, f"Servable not found for request: Specific({model}, {version})")
    return VERSION


def _metadata(version: str) -> dict[str, Any]:
    def tensor(name: str) -> dict[str, Any]:
        dim = [{"size": "-1", "name": ""}, {"size": str(SIZE), "name": ""}]
        shape = {"dim": dim, "unknown_rank": False}
        return {name: {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": f"{name}:0"}}

    signature = {"inputs": tensor("x"), "outputs": tensor("y"), "method_name": "tensorflow/serving/predict"}
    return {
        "model_spec": {"name": MODEL, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": {"serving_default": {**signature, "defaults": {}}}}},
    }


def _rows(instances: Any) -> list[list[float]]:
    if not isinstance(instances, list):
        raise Refusal(400, "Expecting 'instances' to be an list/array")
    if not instances:
        raise Refusal(400, "No values in 'instances' array")
    named = _is_named(instances[0])
    for i, item in enumerate(instances):
        if named and not _is_named(item):
            raise Refusal(400, f"Expecting object but got list at item {i} of input list")
        if not named and _is_named(item):
            raise Refusal(400, f"Expecting value/list but got object at item {i} of input list")
        if named and set(item) != {"x"}:
            name = next(iter(set(item) - {"x"}), "")
            raise Refusal(400, f"JSON object: does not have named input: {name}")
    rows = [item["x"] if named else item for item in instances]
    for i, row in enumerate(rows):
        for value in row if isinstance(row, list) else [row]:
            if isinstance(value, bool) or not isinstance(value, float | int):
                kind = {str: "String", dict: "Object", list: "Array", type(None): "Null"}.get(type(value), "Bool")
                text = f"JSON Value: {json.dumps(value)} Type: {kind} is not of expected type: float"
                raise Refusal(
                    400, f"Failed to process element: {i} of 'instances' list. Error: INVALID_ARGUMENT: {text}"
                )
        if isinstance(row, list) and len(row) != len(rows[0]):
            raise Refusal(400, f"Expecting tensor size: {len(rows[0])} but got: {len(row)}")
    return rows


def _is_named(item: Any) -> bool:
    return isinstance(item, dict) and not (set(item) == {"b64"} and isinstance(item["b64"], str))


def _examples(request: dict[str, Any]) -> dict[str, Any]:
    if "examples" not in request:
        raise Refusal(400, "When method is classify, key 'examples' is expected and was not found")
    examples = request["examples"]
    if not isinstance(examples, list):
        raise Refusal(400, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise Refusal(400, "'examples' value is an empty array")
    if not all(isinstance(example, dict) for example in examples):
        raise Refusal(400, "Example must be JSON object but got JSON Value")
    raise Refusal(400, 'No classification inputs found in SignatureDef: "serving_default"')
