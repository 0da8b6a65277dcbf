"""Random views of a photo, drawn so that the network meets what strangers post.

Posted photos come in any aspect, light and sharpness, and serving squashes them to a square. Two thirds of
the training photos were squashed before we got them, so the crop's aspect is drawn wide of 1.
"""

from __future__ import annotations

import cv2
import numpy as np

from .schedule import Strength

GREY = np.array([0.299, 0.587, 0.114], np.float32)


def random_view(picture: np.ndarray, side: int, how: Strength, rng: np.random.Generator) -> np.ndarray:
    """A view of `picture` (uint8 RGB, any size) as uint8 (side, side, 3)."""
    view = _crop(picture, side, how, rng)
    if rng.random() < 0.5:
        view = view[:, ::-1]
    view = cv2.transform(view, _colour_matrix(how.colour, rng))
    if rng.random() < how.soften:
        view = _soften(view, rng)
    if rng.random() < how.erase:
        _erase(view, rng)
    return view


def _crop(picture: np.ndarray, side: int, how: Strength, rng: np.random.Generator) -> np.ndarray:
    height, width = picture.shape[:2]
    area = rng.uniform(how.min_area, 1.0)
    stretch = np.exp(rng.uniform(-1, 1) * np.log(how.aspect)) ** 0.5
    w = min(width, max(8, round(width * area**0.5 * stretch)))
    h = min(height, max(8, round(height * area**0.5 / stretch)))
    x, y = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
    if how.degrees and rng.random() < 0.3:
        return _rotated_crop(picture, (x, y, w, h), rng.uniform(-how.degrees, how.degrees), side)
    shrinks = w * h > side * side
    return cv2.resize(
        picture[y : y + h, x : x + w], (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def _rotated_crop(picture: np.ndarray, box: tuple[int, int, int, int], degrees: float, side: int) -> np.ndarray:
    x, y, w, h = box
    turn = np.deg2rad(degrees)
    # Destination pixel -> source pixel: scale to the box, turn about its centre.
    scale = np.diag([w / side, h / side])
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ scale
    offset = np.array([x + w / 2, y + h / 2]) - turned @ np.array([side / 2, side / 2])
    matrix = np.hstack([turned, offset[:, None]])
    return cv2.warpAffine(
        picture, matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101
    )


def _colour_matrix(strength: float, rng: np.random.Generator) -> np.ndarray:
    """One 3x4 affine map that changes saturation, contrast and brightness at once."""
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    if rng.random() < 0.04:
        saturation = 0.0
    tint = 1 + rng.uniform(-0.08, 0.08, 3)
    mix = saturation * np.eye(3) + (1 - saturation) * np.tile(GREY, (3, 1))
    linear = brightness * contrast * (tint[:, None] * mix)
    shift = np.full((3, 1), brightness * (1 - contrast) * 115.0)
    return np.hstack([linear, shift]).astype(np.float32)


def _soften(view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lose detail as a small or strongly compressed upload does."""
    side = view.shape[0]
    if rng.random() < 0.5:
        small = round(side * rng.uniform(0.4, 0.8))
        tiny = cv2.resize(view, (small, small), interpolation=cv2.INTER_AREA)
        return cv2.resize(tiny, (side, side), interpolation=cv2.INTER_LINEAR)
    _, packed = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 70))])
    return cv2.imdecode(packed, cv2.IMREAD_COLOR)


def _erase(view: np.ndarray, rng: np.random.Generator) -> None:
    side = view.shape[0]
    h, w = (rng.uniform(0.12, 0.4, 2) * side).astype(int)
    y, x = rng.integers(0, side - h + 1), rng.integers(0, side - w + 1)
    view[y : y + h, x : x + w] = rng.integers(0, 256, 3)
