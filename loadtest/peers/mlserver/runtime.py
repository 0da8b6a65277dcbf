"""MLServer, with a runtime of one's own.

MODEL=model.onnx mlserver start .
"""

import io

from classifier import Classifier
from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from PIL import Image


class CatDog(MLModel):
    """POST /v2/models/catdog/infer with the photo in base64, as the Open Inference Protocol has it in JSON."""

    async def load(self) -> bool:
        """Once in each worker."""
        self.model = Classifier()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """A label for each photo."""
        photos = self.decode(payload.inputs[0], default_codec=Base64Codec)
        labels = [self.model.classify(Image.open(io.BytesIO(photo)))["label"] for photo in photos]
        return InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("label", labels)])
