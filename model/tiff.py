"""TIFFs that Pillow alone would show as another picture than they hold, and their faults kept from stderr."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
from typing import Any

from PIL import ImageFile, TiffImagePlugin, TiffTags, _imaging

from .errors import UnsupportedPicture

_BITS, _COLOURS = TiffImagePlugin.BITSPERSAMPLE, TiffImagePlugin.SAMPLESPERPIXEL
_PLANES, _ORIENTATION = TiffImagePlugin.PLANAR_CONFIGURATION, 274
_TOGETHER, _SEPARATE = 1, 2  # the colours of a pixel, or all pixels of a colour
# libtiff gives numbers in the machine's order; Pillow's plugin reads these as the file's all the same.
_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}


_NO_DECODER = frozenset({"webp"})  # compressions that Pillow's libtiff is built without


def is_of_unknown_mode(data: bytes) -> bool:
    """Whether Pillow does not open it for its number of channels and bits, and not because it is damaged."""
    try:
        TiffImagePlugin.TiffImageFile(io.BytesIO(data))
    except SyntaxError as fault:
        return "unknown pixel mode" in str(fault)
    except Exception:  # damaged in some way
        return False
    return False


def set_right(picture: TiffImagePlugin.TiffImageFile) -> int:
    """Before it is loaded: have the pixels read as the file means them. Returns the orientation, which is not obeyed.

    Pillow would turn it while it still holds what it has read of the file. Raises UnsupportedPicture.
    """
    _check(picture)
    orientation = _take_tags(picture)
    tags = picture.tag_v2
    separate = not picture.use_load_libtiff and tags.get(_PLANES) == _SEPARATE
    if picture.use_load_libtiff:
        picture.tile = [tile._replace(args=_in_native_order(tile.args)) for tile in picture.tile]
    elif separate and tags.get(_COLOURS, 1) == 1:  # Pillow would forget how the numbers are packed
        tags[_PLANES] = _TOGETHER
        picture._setup()
    elif separate and set(tags.get(_BITS, ())) == {16}:  # Pillow would read them as 8 bits; libtiff does not
        args = (f"{picture.mode};16N", False, tags.offset)
        picture.tile = [ImageFile._Tile("libtiff", (0, 0, *picture._tile_size), 0, args)]
        picture.use_load_libtiff = True
    picture._size = picture._tile_size  # as it lies, which is what is going to be loaded
    return orientation


def _check(picture: TiffImagePlugin.TiffImageFile) -> None:
    """Raises UnsupportedPicture for what Pillow cannot decode, or would show as another picture."""
    compression = picture.info.get("compression")
    if compression in _NO_DECODER:
        raise UnsupportedPicture(f"TIFFs compressed as {compression} are not read. Save it with LZW or Deflate.")
    separate = picture.tag_v2.get(_PLANES) == _SEPARATE
    if picture.mode == "La" or (picture.mode == "LA" and separate):
        raise UnsupportedPicture(
            "TIFFs of grey with transparency are not read where it is premultiplied or stored apart. Save it as PNG."
        )


def _take_tags(picture: TiffImagePlugin.TiffImageFile) -> int:
    """The orientation; that and all that is not of the pixels is forgotten.

    Pillow would fail at a block of XMP that is not of bytes, and at a place of further tags below zero.
    """
    if not isinstance(picture.info.get("xmp"), bytes):
        picture.info.pop("xmp", None)
    tags = picture.getexif()
    for directory in TiffTags.TAGS_V2_GROUPS:
        tags.pop(directory, None)
    orientation: int = tags.pop(_ORIENTATION, 1)
    return orientation


def _in_native_order(args: Any) -> Any:
    return (_NATIVE.get(args[0], args[0]), *args[1:])


def _quiet() -> None:
    """Keep Pillow's plugin and libtiff from writing lines on stderr for faults of a file; these are raised, too.

    libtiff stays as it is where it cannot be reached so.
    """
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(_imaging.__file__)  # finds what that is linked with, too
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)


_quiet()
