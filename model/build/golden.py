"""Inputs that every engine is asked with: random within the declared range, and the user's own photos."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .. import bundle as bundles
from .. import preprocess
from ..bundle import Tensor
from ..errors import PictureError
from ..preprocess import Preprocessing
from .errors import BuildError

PICTURES = 8  # in golden.npz, which every worker runs at its start
ROWS = 72  # of small inputs: more than the engines take at once
SMALL = 4096  # bytes of an instance
PHOTOS = 200
ANY_SIZE = 16  # where an axis may have any size
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
TEXTS = ("A short sentence.", "The quick brown fox jumps over the lazy dog", "", "what a terrible, terrible film", "42")


def random_inputs(inputs: Sequence[Tensor], how: Preprocessing | None, vocabulary: int) -> list[np.ndarray]:
    """One array an input, first axis n. vocabulary: integers are from 0 to below it."""
    rng = np.random.default_rng(0)
    if how is not None:
        return [np.stack([preprocess.from_picture(picture, how) for picture in _pictures(rng, how)])]
    count = ROWS if sum(map(_bytes, inputs)) <= SMALL else PICTURES
    return [_random(rng, (count, *_sizes(tensor)), tensor.dtype, vocabulary) for tensor in inputs]


def photo_inputs(folder: Path, how: Preprocessing) -> tuple[np.ndarray, int]:
    """(tensors of at most PHOTOS pictures below the folder, how many could not be read).

    The same ones each time, from all subfolders. Raises BuildError when there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    chosen = sorted(random.Random(0).sample(found, PHOTOS)) if len(found) > PHOTOS else found  # noqa: S311
    tensors, unreadable = [], 0
    for path in chosen:
        try:
            tensors.append(preprocess.to_tensor(path.read_bytes(), how, preprocess.Limits()))
        except (PictureError, OSError):
            unreadable += 1
    if not tensors:
        raise BuildError(f"{folder} holds no picture that can be read ({len(found)} found).")
    return np.stack(tensors), unreadable


def storable(values: np.ndarray) -> np.ndarray:
    """As it can be kept in an .npz file: text as str, anything else as it is."""
    return bundles.as_text(values) if values.dtype.kind in "OS" else values


def vocabulary_of(model: Any) -> int:
    """Of a Keras model's smallest embedding; 2 where none is known, as every integer input takes 0 and 1."""
    layers = model._flatten_layers() if model is not None else ()
    sizes = [layer.input_dim for layer in layers if type(layer).__name__ == "Embedding"]
    return min(sizes, default=2)


def _pictures(rng: np.random.Generator, how: Preprocessing) -> list[Image.Image]:
    """Noise, coarse and fine, and plain colours: what is smooth tells other faults than what is not."""
    size = (how.width, how.height)
    pictures = []
    for grain in (1, 2, 4, 8, 16, 64):
        small = (max(2, how.height // grain), max(2, how.width // grain), 3)
        noise = Image.fromarray(rng.integers(0, 256, small, np.uint8))
        pictures.append(noise.resize(size, Image.Resampling.BILINEAR))
    return [*pictures, Image.new("RGB", size, "black"), Image.new("RGB", size, (200, 120, 40))]


def _sizes(tensor: Tensor) -> tuple[int, ...]:
    return tuple(ANY_SIZE if size is None else size for size in tensor.shape[1:])


def _bytes(tensor: Tensor) -> int:
    return 4 * int(np.prod(_sizes(tensor)))


def _random(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, vocabulary: int) -> np.ndarray:
    if dtype == "string":
        return rng.choice(np.array(TEXTS), shape)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if np.issubdtype(np.dtype(dtype), np.integer):
        values = rng.integers(0, vocabulary, shape).astype(dtype)
        if len(shape) == 2 and shape[1] > 1:
            values[: shape[0] // 2, shape[1] // 2 :] = 0  # half of the sequences end early, in padding
        return values
    return rng.uniform(-1, 1, shape).astype(dtype)
