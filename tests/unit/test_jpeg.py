"""The quick decoder gives what Pillow gives, and leaves to it what is not ordinary."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model import jpeg
from model.errors import BrokenPicture, PictureTooLarge
from model.preprocess import Limits, decode

pytestmark = pytest.mark.unit

CAT = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()


def encoded(picture: Image.Image, **how: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", **how)
    return file.getvalue()


def pillows(data: bytes, wanted: tuple[int, int]) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.draft(None, (max(wanted),) * 2)
    return picture.convert("RGB")


@pytest.mark.parametrize(
    "wanted", [(128, 128), (128, 96), (187, 187), (188, 188), (224, 224), (46, 46), (9, 30), (900, 1)]
)
@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 5}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_it_decodes_as_pillow_does(mode: str, how: dict[str, object], wanted: tuple[int, int]) -> None:
    data = encoded(Image.open(io.BytesIO(CAT)).convert(mode), **how)
    found = jpeg.size(data)
    assert found == (500, 375)
    ours, theirs = jpeg.decode(data, found, wanted), pillows(data, wanted)
    assert ours is not None
    assert (ours.size, ours.mode) == (theirs.size, "RGB")
    difference = np.abs(np.asarray(ours).astype(int) - np.asarray(theirs))
    assert difference.max() <= 2
    assert difference.mean() < 0.1


def test_what_is_not_ordinary_is_left_alone() -> None:
    cat = Image.open(io.BytesIO(CAT))
    turned = Image.Exif()
    turned[0x0112] = 6
    for data in (
        b"",
        b"\xff\xd8\xff",
        CAT[:100],
        CAT[1:],
        encoded(cat, exif=turned),
        encoded(cat.convert("CMYK")),
        encoded(cat, keep_rgb=True),
        CAT.replace(b"\xff\xda", b"\xda\xff"),
    ):
        assert jpeg.size(data) is None


@pytest.mark.parametrize("end", [len(CAT) // 2, len(CAT) - 40])
def test_a_cut_file_is_broken(end: int) -> None:
    found = jpeg.size(CAT[:end])
    assert found is not None
    assert jpeg.decode(CAT[:end], found, (128, 128)) is None
    with pytest.raises(BrokenPicture):
        decode(CAT[:end], (128, 128), Limits())


def test_the_limits_hold_before_anything_is_decoded() -> None:
    with pytest.raises(PictureTooLarge):
        decode(CAT, (128, 128), Limits(max_pixels=1000))
