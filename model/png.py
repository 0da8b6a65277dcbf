"""PNGs without what says nothing of their pixels: texts, colour profiles, further frames.

Pillow unpacks and checks all of that, and refuses a whole picture for a text of more than a megabyte, or for one wrong
checksum in it.
"""

from __future__ import annotations

import struct
import zlib

_HEAD = struct.Struct(">I4s")  # of a chunk: the length of its data, and its kind
_OPTIONAL = 0x20  # in the first letter of the kind
_END, _OF_PIXELS = b"IEND", b"tRNS"
_EXIF, _XMP = b"eXIf", b"iTXt"  # which may say how the picture is to be turned
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
