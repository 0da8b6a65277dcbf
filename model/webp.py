"""The first frame of a WebP, in less memory than Pillow takes."""

from __future__ import annotations

from PIL import Image, WebPImagePlugin


def first_frame(picture: WebPImagePlugin.WebPImageFile) -> Image.Image:
    """RGB, or RGBA where parts may be transparent, without what the file says beside its pixels. To be called once.

    Raises EOFError where the file is damaged.
    """
    frame = picture._decoder.get_next()
    if frame is None:
        raise EOFError("no first frame")
    del picture._decoder  # which holds two canvases of its own
    return Image.frombuffer(picture.mode, picture.size, frame[0], "raw", picture.rawmode, 0, 1)
