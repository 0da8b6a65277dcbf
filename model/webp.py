"""The first frame of a WebP, in less memory than Pillow takes."""

from __future__ import annotations

from PIL import Image, WebPImagePlugin

_EXTENDED, _FLAGS_AT, _ANIMATED = b"VP8X", 20, 0x02


def first_frame(picture: WebPImagePlugin.WebPImageFile, data: bytes) -> Image.Image:
    """RGB, or RGBA where parts may be transparent, without what the file says beside its pixels. To be called once.

    data: the file. What a frame of an animation leaves of the canvas is transparent, whatever the file says of alpha.
    Raises EOFError where the file is damaged.
    """
    frame = picture._decoder.get_next()
    if frame is None:
        raise EOFError("no first frame")
    del picture._decoder  # which holds two canvases of its own
    animated = data[12:16] == _EXTENDED and data[_FLAGS_AT] & _ANIMATED
    mode, stored = ("RGBA", "RGBA") if animated else (picture.mode, picture.rawmode)
    return Image.frombuffer(mode, picture.size, frame[0], "raw", stored, 0, 1)
