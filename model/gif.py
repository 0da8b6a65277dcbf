"""The first frame of a GIF, on white where it does not cover the canvas."""

from __future__ import annotations

from PIL import GifImagePlugin, Image


def first_frame(picture: GifImagePlugin.GifImageFile) -> Image.Image:
    """Not loaded yet -> with its pixels. Pillow gives the rest of the canvas the palette's first colour."""
    covered = picture.tile[0].extents if picture.tile else None
    picture.load()
    if covered is None or covered == (0, 0, *picture.size) or "transparency" in picture.info:
        return picture
    canvas = Image.new("RGB", picture.size, "white")
    canvas.paste(picture.crop(covered).convert("RGB"), covered)
    return canvas
