"""The stack that tutorials show for a Keras model: Flask-RESTful, Pillow and model.predict(), under gunicorn.

Not Kiln: a peer to compare with, written as such tutorials write it. `MODEL` is the path of a .keras file.
"""

import io
import os

import numpy as np
from flask import Flask, request
from flask_restful import Api, Resource
from keras.models import load_model
from keras.utils import img_to_array
from PIL import Image

LABELS = ["cat", "dog"]

app = Flask(__name__)
api = Api(app)
model = load_model(os.environ["MODEL"])


def prepare_image(image):
    """PIL image -> batch of one, as the model was trained."""
    if image.mode != "RGB":
        image = image.convert("RGB")
    image = image.resize(model.input_shape[1:3])
    x = img_to_array(image)
    x = np.expand_dims(x, axis=0)
    return x / 127.5 - 1


class Predict(Resource):
    """POST /predict with the photo as the body."""

    def post(self):
        """The label and its score."""
        image = Image.open(io.BytesIO(request.data))
        scores = model.predict(prepare_image(image))[0]
        best = int(np.argmax(scores))
        return {"label": LABELS[best], "score": float(scores[best])}


api.add_resource(Predict, "/predict")

if __name__ == "__main__":
    app.run()
