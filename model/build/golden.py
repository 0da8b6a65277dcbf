"""Inputs that every engine is asked with: random within the declared range, and the user's own photos."""

from __future__ import annotations

import math
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

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
SIZES = (16, 32, 64, 128, 256)  # that are tried where an axis may have any size
BOUNDS = ((-1, 1), (0, 1), (1, 100))  # of floats: the first, and where Keras answers NaN (sqrt, log) the next
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
TEXTS = ("A short sentence.", "The quick brown fox jumps over the lazy dog", "", "what a terrible, terrible film", "42")


def random_inputs(
    inputs: Sequence[Tensor],
    how: Preprocessing | None,
    vocabularies: Sequence[int | None] = (),
    size: int = SIZES[0],
    draw: int = 0,
    texts: Sequence[str] = TEXTS,
) -> list[np.ndarray]:
    """One array an input, first axis n.

    vocabularies: whole numbers are from 0 to below it, an entry an input; None for 0 and 1, or floats. size: of axes
    that may have any. draw: another gives other values, floats of the BOUNDS at that place. texts: to choose from.
    """
    rng = np.random.default_rng(draw)
    if how is not None:
        return [np.stack([preprocess.from_picture(picture, how) for picture in _pictures(rng, how)])]
    shapes = [tuple(size if length is None else length for length in tensor.shape[1:]) for tensor in inputs]
    count = ROWS if 4 * sum(map(math.prod, shapes)) <= SMALL else PICTURES
    known = vocabularies or [None] * len(inputs)
    return [
        rng.choice(np.array(texts), (count, *shape))
        if tensor.dtype == "string"
        else _random(rng, (count, *shape), tensor.dtype, vocabulary, BOUNDS[draw])
        for tensor, shape, vocabulary in zip(inputs, shapes, known, strict=True)
    ]


def own_inputs(file: Path, inputs: Sequence[Tensor]) -> list[np.ndarray]:
    """A user's rows, for each input in the model's order.

    file: .npz with an array for each input, by its name, or .npy for a model of one. Raises BuildError naming every
    problem at once.
    """
    try:
        with file.open("rb") as opened:
            loaded = np.load(opened)
            arrays = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {inputs[0].name: loaded}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as fault:
        raise BuildError(f"--inputs: {file} cannot be read: {fault}") from fault
    names = [tensor.name for tensor in inputs]
    if sorted(arrays) != sorted(names):
        raise BuildError(f"--inputs: {file} holds {', '.join(arrays) or 'nothing'}; the inputs are {', '.join(names)}.")
    problems = [problem for tensor in inputs if (problem := _problem(arrays[tensor.name], tensor))]
    counts = {values.shape[:1] for values in arrays.values()}
    if not problems and (len(counts) > 1 or counts == {(0,)}):
        problems.append("all arrays need the same number of rows, one at least")
    if problems:
        raise BuildError("--inputs: " + "; ".join(problems))
    return [
        storable(arrays[tensor.name])
        if tensor.dtype == "string"
        else arrays[tensor.name].astype(tensor.dtype, copy=False)
        for tensor in inputs
    ]


def _problem(values: np.ndarray, tensor: Tensor) -> str:
    """Why an array cannot be an input, or nothing."""
    wanted = tensor.shape[1:]
    if values.ndim != len(tensor.shape) or any(
        size not in (None, length) for size, length in zip(wanted, values.shape[1:], strict=True)
    ):
        shape = ", ".join(["rows", *("any" if size is None else str(size) for size in wanted)])
        return f"{tensor.name} has the shape {list(values.shape)}, not [{shape}]"
    allowed = {"string": "US", "bool": "b"}.get(tensor.dtype, "biuf")
    if values.dtype.kind not in allowed:
        return f"{tensor.name} is {values.dtype}, not {tensor.dtype}"
    if "int" not in tensor.dtype:
        return ""
    with np.errstate(invalid="ignore"):
        whole = np.array_equal(values.astype(tensor.dtype).astype(values.dtype), values)
    return "" if whole else f"{tensor.name} has numbers that {tensor.dtype} does not"


def kept(inputs: Sequence[np.ndarray]) -> int:
    """How many of a user's own rows go into golden.npz; more than that would hold up each worker's start."""
    row = sum(values[:1].nbytes if values.dtype.kind == "S" else 4 * values[:1].size for values in inputs)
    return min(len(inputs[0]), ROWS if row <= SMALL else PICTURES)


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
    """As it can be kept in an .npz file: text as str, bytes that are none as bytes, anything else as it is."""
    if values.dtype.kind not in "OS":
        return values
    return values.astype(np.bytes_) if bundles.is_bytes(values) else bundles.as_text(values)


def _pictures(rng: np.random.Generator, how: Preprocessing) -> list[Image.Image]:
    """Noise, coarse and fine, and plain colours: what is smooth tells other faults than what is not."""
    size = (how.width, how.height)
    pictures = []
    for grain in (1, 2, 4, 8, 16, 64):
        small = (max(2, how.height // grain), max(2, how.width // grain), 3)
        noise = Image.fromarray(rng.integers(0, 256, small, np.uint8))
        pictures.append(noise.resize(size, Image.Resampling.BILINEAR))
    return [*pictures, Image.new("RGB", size, "black"), Image.new("RGB", size, (200, 120, 40))]


def _random(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, vocabulary: int | None, bounds: tuple[float, float]
) -> np.ndarray:
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if vocabulary is not None or np.issubdtype(np.dtype(dtype), np.integer):
        values = rng.integers(0, vocabulary or 2, shape).astype(dtype)
        if len(shape) == 2 and shape[1] > 1:
            values[: shape[0] // 2, shape[1] // 2 :] = 0  # half of the sequences end early, in padding
        return values
    return rng.uniform(*bounds, shape).astype(dtype)
