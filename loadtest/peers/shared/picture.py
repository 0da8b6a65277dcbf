"""A photo to the model's input, and its output to an answer, with Pillow and NumPy."""

import numpy as np
from PIL import Image

LABELS = ["cat", "dog"]
SIZE = (128, 128)


def to_batch(image):
    """A picture that Pillow has opened -> float32 (1, 128, 128, 3), -1 to 1."""
    image = image.convert("RGB").resize(SIZE, Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32)[np.newaxis] / 127.5 - 1


def to_answer(scores):
    """The scores of the labels -> the best label and its score."""
    best = int(scores.argmax())
    return {"label": LABELS[best], "score": float(scores[best])}
