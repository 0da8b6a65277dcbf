"""Ray Serve.

MODEL=model.onnx serve run app:app
"""

import io

from classifier import Classifier
from PIL import Image
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 1})
class CatDog:
    """Each replica loads the model."""

    def __init__(self):
        self.model = Classifier()

    async def __call__(self, request: Request) -> dict:
        """POST / with the photo as the body."""
        return self.model.classify(Image.open(io.BytesIO(await request.body())))


app = CatDog.bind()
