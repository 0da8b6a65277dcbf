"""PNGs without what says nothing of their pixels (texts, profiles, further frames), and their transparent colour.

Pillow unpacks and checks all of that, and refuses a whole picture for a text of more than a megabyte, or for one wrong
checksum in it.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from . import strips

_HEAD = struct.Struct(">I4s")  # of a chunk: the length of its data, and its kind
_OPTIONAL = 0x20  # in the first letter of the kind
_END, _OF_PIXELS = b"IEND", b"tRNS"
_EXIF, _XMP = b"eXIf", b"iTXt"  # which may say how the picture is to be turned
# Pillow's names for how pixels lie in the file: of how many bits the transparent colour's numbers are.
_BITS = {"L;2": 2, "L;4": 4, "L": 8, "RGB": 8}
_HIGH_BYTES, _LOW_BYTES = "RGB;16B", "RGB;16L"  # what is read of the 16 bits of each number
_XMP_BEGINS = b"XML:com.adobe.xmp\x00\x00"  # by its standard not compressed


def essential(data: bytes) -> bytes:
    """The same picture with the chunks that are needed to show it upright; others go unread."""
    view, place = memoryview(data), 8
    kept = [view[:place]]
    while place + _HEAD.size <= len(data):
        length, kind = _HEAD.unpack_from(data, place)
        end = place + _HEAD.size + length + 4  # with its checksum
        if _is_needed(kind, view[place + 4 : end]):
            kept.append(view[place:end])
        place = len(data) if kind == _END else end
    return b"".join(kept)


def _is_needed(kind: bytes, chunk: memoryview) -> bool:
    """chunk: its kind, data and checksum. What is damaged and not optional is kept, for the decoder to find."""
    if not kind[0] & _OPTIONAL or kind == _OF_PIXELS or not kind.isalpha():
        return True
    if kind == _EXIF or (kind == _XMP and chunk[4 : 4 + len(_XMP_BEGINS)] == _XMP_BEGINS):
        return zlib.crc32(chunk[:-4]) == int.from_bytes(chunk[-4:])
    return False


def set_right(picture: PngImagePlugin.PngImageFile, data: bytes) -> None:
    """Before it is loaded: have the transparent colour found among the pixels.

    Pillow takes it for one of 8 bits, and forgets the lower half of 16 bits a colour; there the picture is loaded, and
    made white. data: the file.
    """
    key = picture.info.get("transparency")
    if not picture.tile or key is None:
        return
    stored = picture.tile[0].args
    if stored in _BITS:
        most = 2 ** _BITS[stored] - 1
        numbers = [(number & most) * (255 // most) for number in np.atleast_1d(key).tolist()]
        picture.info["transparency"] = tuple(numbers) if picture.mode == "RGB" else numbers[0]
    elif stored == _HIGH_BYTES:
        _whiten(picture, data, np.array(key))
        del picture.info["transparency"]


def _whiten(picture: Image.Image, data: bytes, key: np.ndarray) -> None:
    """Load it, 16 bits a colour, and make all white that has the colour `key`."""
    low: Any = Image.open(io.BytesIO(essential(data)), formats=("PNG",))
    low.tile = [tile._replace(args=_LOW_BYTES) for tile in low.tile]
    picture.load()
    low.load()
    for box in strips.boxes(picture.size):
        found = (np.asarray(picture.crop(box)) == key >> 8) & (np.asarray(low.crop(box)) == key & 255)
        picture.paste((255, 255, 255), box, Image.fromarray(found.all(axis=2)))
