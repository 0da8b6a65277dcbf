"""LitServe.

MODEL=model.onnx python server.py 8000
"""

import sys

import litserve as ls
from classifier import Classifier
from fastapi import UploadFile
from PIL import Image


class CatDog(ls.LitAPI):
    """POST /predict with a form, the photo in its field `request`."""

    def setup(self, device):
        """Once in each worker."""
        self.model = Classifier()

    def decode_request(self, request: UploadFile):
        """Form -> picture."""
        return Image.open(request.file)

    def predict(self, image):
        """Picture -> label and score."""
        return self.model.classify(image)

    def encode_response(self, output):
        """What FastAPI writes as JSON."""
        return output


if __name__ == "__main__":
    server = ls.LitServer(CatDog(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
