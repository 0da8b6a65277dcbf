"""A stand-in for servers of the Open Inference Protocol whose models or answers are odd, to try the conformance kit.

It answers good requests, in JSON and binary; of bad ones it knows none. No network is between it and the kit.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

import numpy as np

from tests.conformance.open_inference.talk import LENGTH
from tests.conformance.server import Reply, Server
from tests.conformance.tensors import DTYPES, Tensor, from_binary, nested, to_binary

NAME = "an odd name: %é/1"
Values = dict[str, np.ndarray]

# What may be wrong with it.
FAULTS = ("refuses null", "writes NaN", "last of equals first", "reads one member")


class StandIn(Server):
    """A server that the kit asks without a network. formula: outputs of inputs. faults: some of FAULTS."""

    def __init__(
        self,
        inputs: Collection[Tensor],
        outputs: Collection[Tensor],
        formula: Callable[[Values], Values],
        *,
        extensions: Collection[str] = ("binary_tensor_data", "classification"),
        faults: Collection[str] = (),
    ) -> None:
        super().__init__("http://nowhere")
        assert set(faults) <= set(FAULTS), faults
        self.inputs, self.outputs, self.formula = tuple(inputs), tuple(outputs), formula
        self.extensions, self.faults = extensions, faults

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        headers = headers or {}
        model = f"/v2/models/{quote(NAME, safe='')}"
        if path == "/v2":
            return _json({"name": "stand-in", "version": "1", "extensions": list(self.extensions)})
        if path == model:
            described = {"inputs": _described(self.inputs), "outputs": _described(self.outputs)}
            return _json({"name": NAME, "platform": "stand_in", **described})
        if path != f"{model}/infer" or method != "POST":
            return _json({"error": "not here"}, 404)
        try:
            return self._infer(self._unpacked(body or b"", headers), headers)
        except (ValueError, zlib.error) as error:
            return _json({"error": f"no good: {error}"}, 400)

    def _unpacked(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        if headers.get("Content-Encoding") != "gzip":
            return body
        if "reads one member" in self.faults:
            return zlib.decompressobj(wbits=31).decompress(body)
        return gzip.decompress(body)

    def _infer(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        length = int(headers.get(LENGTH, len(body)))
        asked, tail = json.loads(body[:length]), body[length:]
        fields = [asked, *asked["inputs"], *(asked.get("outputs") or ())]
        if "refuses null" in self.faults and any(value is None for field in fields for value in field.values()):
            raise ValueError("null")
        given = {}
        for tensor in asked["inputs"]:
            shape, size = tensor["shape"], (tensor.get("parameters") or {}).get("binary_data_size")
            if size is None:
                given[tensor["name"]] = np.array(tensor["data"], DTYPES[tensor["datatype"]]).reshape(shape)
                continue
            given[tensor["name"]] = from_binary(tail[:size], tensor["datatype"], shape)
            tail = tail[size:]
        return self._answer(asked, self.formula(given))

    def _answer(self, asked: dict[str, Any], found: Values) -> Reply:
        all_binary = bool((asked.get("parameters") or {}).get("binary_data_output"))
        wanted = {output["name"]: output.get("parameters") or {} for output in asked.get("outputs") or ()}
        outputs, tails = [], []
        for tensor in self.outputs:
            if wanted and tensor.name not in wanted:
                continue
            parameters, value, datatype = wanted.get(tensor.name, {}), found[tensor.name], tensor.datatype
            if "classification" in parameters:
                value, datatype = self._classes(value, parameters["classification"]), "BYTES"
            output = {"name": tensor.name, "datatype": datatype, "shape": list(value.shape)}
            if parameters.get("binary_data", all_binary):
                tails.append(to_binary(value, Tensor("", datatype, ())))
                outputs.append(output | {"parameters": {"binary_data_size": len(tails[-1])}})
            elif datatype == "FP16":
                raise ValueError("FP16 in JSON")
            else:
                if "writes NaN" not in self.faults and value.dtype.kind == "f" and not np.isfinite(value).all():
                    raise ValueError("NaN in JSON")
                outputs.append(output | {"data": nested(value.ravel())})
        more = {"id": asked["id"]} if asked.get("id") else {}
        head = json.dumps({"model_name": NAME, "outputs": outputs, **more}).encode()
        if not tails:
            return Reply(200, {"Content-Type": "application/json"}, head)
        return Reply(200, {"Content-Type": "application/octet-stream", LENGTH: str(len(head))}, head + b"".join(tails))

    def _classes(self, scores: np.ndarray, count: int) -> np.ndarray:
        order = -1 if "last of equals first" in self.faults else 1
        rows = [sorted(range(len(row)), key=lambda i: (-row[i], order * i))[:count] for row in scores]
        return np.array([[f"{s[i]:f}:{i}" for i in row] for s, row in zip(scores, rows, strict=True)], object)


def _json(body: Any, status: int = 200) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


def _described(tensors: Collection[Tensor]) -> list[dict[str, Any]]:
    return [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in tensors]
