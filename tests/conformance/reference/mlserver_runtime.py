"""The kit's small models in MLServer, by a runtime written as its documentation says."""

from __future__ import annotations

from formulas import FORMULAS
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse


class Formula(MLModel):
    """Decodes its inputs by NumPy's codec, as MLServer's own runtimes do, and computes what its name says."""

    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        given = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        if missing := [tensor.name for tensor in self.inputs if tensor.name not in given]:
            raise InferenceError(f"missing inputs: {', '.join(missing)}")
        found = FORMULAS[self.name](given)
        asked = [output.name for output in payload.outputs or []] or list(found)
        if unknown := [name for name in asked if name not in found]:
            raise InferenceError(f"unknown outputs: {', '.join(unknown)}")
        outputs = [NumpyCodec.encode_output(name, found[name]) for name in asked]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
