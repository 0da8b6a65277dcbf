"""Grey of more than 8 bits, with signs, or of plain numbers -> 8 bits without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from . import strips
from .errors import UnsupportedPicture

_BITS = TiffImagePlugin.BITSPERSAMPLE
_FORMAT, _SIGNED = TiffImagePlugin.SAMPLEFORMAT, 2
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
    dtype: type[np.generic] | None = None  # where it is not what Pillow takes the values for
    if picture.mode.startswith("I;16"):
        scale = 2.0 ** (8 - bits)
    elif picture.mode == "L":
        dtype, scale = np.int8, 2.0
    else:
        if picture.mode == "I" and bits == 32 and not signed:
            dtype = np.uint32
        scale = _guessed_scale((_values(picture, box, dtype) for box in strips.boxes(picture.size)), bits - signed)
    clear = picture.info.get("transparency")  # one of the values, in PNGs
    inverted = tags.get(_MEANING) == _WHITE_IS_ZERO
    result = Image.new("L", picture.size)
    for box in strips.boxes(picture.size):
        values = _values(picture, box, dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            grey = np.nan_to_num(values.astype(np.float32) * np.float32(scale))
        shades = np.clip(grey, 0, 255).astype(np.uint8)
        shades = 255 - shades if inverted else shades
        if clear is not None:
            shades[values == clear] = 255
        result.paste(Image.fromarray(shades), box)
    return result


def _values(picture: Image.Image, box: strips.Box, dtype: type[np.generic] | None) -> np.ndarray:
    """Of a strip: Pillow copies what it hands to NumPy twice, and floats take more."""
    values = np.asarray(picture.crop(box))
    return values if dtype is None else values.view(dtype)


def _guessed_scale(parts: Iterator[np.ndarray], bits: int) -> float:
    """Numbers of unknown range, by the largest one: 0..1, 0..255, 0..65535, or all that so many bits hold."""
    largest = max((float(found.max()) for values in parts if (found := values[np.isfinite(values)]).size), default=None)
    if largest is None:
        raise UnsupportedPicture("None of the picture's numbers is finite. Save it with numbers from 0 to 255.")
    if largest >= 2**32:
        raise UnsupportedPicture(f"The picture has numbers up to {largest:.3g}. Save it with numbers from 0 to 255.")
    for known, scale in ((1, 255.0), (255, 1.0), (2 ** min(bits, 16) - 1, 2.0 ** (8 - min(bits, 16)))):
        if largest <= known:
            return scale
    return 2.0 ** (8 - bits)
