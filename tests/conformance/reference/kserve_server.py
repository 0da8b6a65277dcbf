"""The kit's small models in KServe's Python server, by models written as its documentation says."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from formulas import FORMULAS, INPUTS, OUTPUTS, described
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.errors import InvalidInput
from kserve.utils.numpy_codec import from_np_dtype
from kserve.utils.utils import generate_uuid


class Formula(Model):
    """Takes V1's instances, and V2's inputs, in JSON and binary."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.ready = True

    async def get_input_types(self) -> list[dict[str, object]]:
        return described(INPUTS[self.name])

    async def get_output_types(self) -> list[dict[str, object]]:
        return described(OUTPUTS[self.name])

    async def predict(
        self, payload: dict[str, Any] | InferRequest, headers: Any = None, response_headers: Any = None
    ) -> dict[str, Any] | InferResponse:
        if isinstance(payload, InferRequest):
            return self._tensors(payload)
        return {"predictions": self._rows(payload)}

    def _rows(self, payload: dict[str, Any]) -> Any:
        inputs = INPUTS[self.name]
        try:
            columns = {inputs[0][0]: payload["instances"]}
            if len(inputs) > 1:
                columns = {name: [item[name] for item in payload["instances"]] for name, _, _ in inputs}
            found = FORMULAS[self.name]({name: np.array(column, "float32") for name, column in columns.items()})
        except (LookupError, TypeError, ValueError) as error:
            raise InvalidInput(str(error)) from error
        if len(found) == 1:
            return next(iter(found.values())).tolist()
        return [
            {name: value.tolist() for name, value in zip(found, row, strict=True)}
            for row in zip(*found.values(), strict=True)
        ]

    def _tensors(self, request: InferRequest) -> InferResponse:
        try:
            found = FORMULAS[self.name]({tensor.name: tensor.as_numpy() for tensor in request.inputs})
        except (LookupError, TypeError, ValueError) as error:
            raise InvalidInput(str(error)) from error
        asked = [output.name for output in request.request_outputs or []] or list(found)
        if unknown := [name for name in asked if name not in found]:
            raise InvalidInput(f"unknown outputs: {', '.join(unknown)}")
        outputs = []
        for name, value in found.items():
            output = InferOutput(name, list(value.shape), from_np_dtype(value.dtype))
            output.set_data_from_numpy(value, binary_data=bool(request.use_binary_outputs))
            outputs.append(output)
        return InferResponse(
            request.id or generate_uuid(),
            self.name,
            outputs,
            use_binary_outputs=request.use_binary_outputs,
            requested_outputs=request.request_outputs,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    ModelServer(http_port=parser.parse_args().port, enable_grpc=False).start([Formula(name) for name in FORMULAS])
