"""The tutorial's stack with a compiled engine in the place of model.predict(); all else as in app.py."""

import io

from classifier import Classifier
from flask import Flask, request
from flask_restful import Api, Resource
from PIL import Image

app = Flask(__name__)
api = Api(app)
model = Classifier()


class Predict(Resource):
    """POST /predict with the photo as the body."""

    def post(self):
        """The label and its score."""
        return model.classify(Image.open(io.BytesIO(request.data)))


api.add_resource(Predict, "/predict")

if __name__ == "__main__":
    app.run()
