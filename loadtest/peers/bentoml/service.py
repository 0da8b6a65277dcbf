"""BentoML.

MODEL=model.onnx bentoml serve service:CatDog
"""

import bentoml
from classifier import Classifier
from PIL.Image import Image


@bentoml.service(workers=2, logging={"access": {"enabled": False}})
class CatDog:
    """Each worker loads the model."""

    def __init__(self):
        self.model = Classifier()

    @bentoml.api
    def predict(self, photo: Image, /) -> dict:
        """POST /predict with the photo as the body."""
        return self.model.classify(photo)
