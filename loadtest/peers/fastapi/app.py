"""FastAPI under uvicorn: a plain function, which FastAPI runs in its pool of threads.

MODEL=model.onnx uvicorn app:app --workers 2
"""

import io
from contextlib import asynccontextmanager
from typing import Annotated

from classifier import Classifier
from fastapi import Body, FastAPI
from PIL import Image

models = {}


@asynccontextmanager
async def lifespan(app):
    """Load the model before requests come."""
    models["catdog"] = Classifier()
    yield
    models.clear()


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
def predict(photo: Annotated[bytes, Body(media_type="image/jpeg")]):
    """The photo as the body."""
    return models["catdog"].classify(Image.open(io.BytesIO(photo)))
