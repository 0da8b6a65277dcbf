"""Grey of more than 8 bits, with signs, or of plain numbers -> 8 bits without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from .errors import UnsupportedPicture

_BITS = TiffImagePlugin.BITSPERSAMPLE
_FORMAT, _SIGNED = TiffImagePlugin.SAMPLEFORMAT, 2
_STRIP = 1 << 20  # values that are floats at a time: all of a large picture would take four times its memory
_MEANING, _WHITE_IS_ZERO = TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0


def is_wide(picture: Image.Image) -> bool:
    """Whether its grey is not 8 bits without a sign."""
    if picture.mode == "L":
        return _tags(picture).get(_FORMAT) == (_SIGNED,)
    return picture.mode in ("I", "F") or picture.mode.startswith("I;16")


def _tags(picture: Image.Image) -> Mapping[int, Any]:
    return picture.tag_v2 if isinstance(picture, TiffImagePlugin.TiffImageFile) else {}


def to_8_bits(picture: Image.Image) -> Image.Image:
    """Such a picture -> mode L. What is no number is black, what is transparent white.

    Raises UnsupportedPicture where the numbers have no range that is known.
    """
    tags = _tags(picture)
    bits, signed = tags.get(_BITS, (16,))[0], tags.get(_FORMAT, (1,))[0] == _SIGNED
    values = np.asarray(picture)
    if picture.mode.startswith("I;16"):
        scale = 2.0 ** (8 - bits)
    elif picture.mode == "L":
        values, scale = values.view(np.int8), 2.0
    else:
        if picture.mode == "I" and bits == 32 and not signed:
            values = values.view(np.uint32)  # Pillow knows no such mode
        scale = _guessed_scale(values, bits - signed)
    clear = picture.info.get("transparency")  # one of the values, in PNGs
    grey = np.empty(values.shape, np.uint8)
    rows = max(1, _STRIP // values.shape[1])
    for top in range(0, len(values), rows):
        with np.errstate(over="ignore", invalid="ignore"):
            strip = np.nan_to_num(values[top : top + rows].astype(np.float32) * np.float32(scale))
        grey[top : top + rows] = np.clip(strip, 0, 255)
        if clear is not None:
            grey[top : top + rows][values[top : top + rows] == clear] = 255
    return Image.fromarray(255 - grey if tags.get(_MEANING) == _WHITE_IS_ZERO else grey)


def _guessed_scale(values: np.ndarray, bits: int) -> float:
    """Numbers of unknown range, by the largest one: 0..1, 0..255, 0..65535, or all that so many bits hold."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not finite.size:
        raise UnsupportedPicture("None of the picture's numbers is finite. Save it with numbers from 0 to 255.")
    largest = float(finite.max())
    if largest >= 2**32:
        raise UnsupportedPicture(f"The picture has numbers up to {largest:.3g}. Save it with numbers from 0 to 255.")
    for known, scale in ((1, 255.0), (255, 1.0), (2 ** min(bits, 16) - 1, 2.0 ** (8 - min(bits, 16)))):
        if largest <= known:
            return scale
    return 2.0 ** (8 - bits)
