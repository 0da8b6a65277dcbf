"""TIFFs show what they hold, whatever numbers they hold it in, and their faults are not written on stderr."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from model.errors import UnsupportedPicture
from model.preprocess import Limits, decode
from tests.pictures import encoded, tiff

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
CAT = Image.open(io.BytesIO((ROOT / "tests" / "data" / "cat.jpg").read_bytes())).resize((97, 64))
GREY = np.asarray(CAT.convert("L"))
EVERY_STORAGE = [{"deflated": deflated, "order": order} for deflated in (False, True) for order in "<>"]


def shown(data: bytes) -> np.ndarray:
    return np.asarray(decode(data, CAT.size, Limits()))


@pytest.mark.parametrize("how", EVERY_STORAGE)
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_colours(mode: str, dtype: type, planar: bool, how: dict[str, Any]) -> None:
    picture = CAT.convert(mode)
    pixels = np.asarray(picture).astype(dtype) * (257 if dtype == np.uint16 else 1)
    assert (shown(tiff(pixels, planar=planar, **how)) == np.asarray(picture.convert("RGB"))).all()


NUMBERS = {
    "8 bits": GREY,
    "16 bits": GREY.astype(np.uint16) * 257,
    "8 bits, signed": (GREY // 2).astype(np.int8),
    "16 bits, signed": GREY.astype(np.int16) * 128,
    "16 bits, signed, to 255": GREY.astype(np.int16),
    "32 bits, signed": GREY.astype(np.int32) << 23,
    "32 bits, signed, to 255": GREY.astype(np.int32),
    "32 bits, to 65535": GREY.astype(np.int32) * 257,
    "floats to 1": GREY.astype(np.float32) / 255,
    "floats to 255": GREY.astype(np.float32),
    "floats to 65535": GREY.astype(np.float32) * 257,
    "floats to 2**32": GREY.astype(np.float32) * 2**24,
}


@pytest.mark.parametrize("how", EVERY_STORAGE)
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name: str, planar: bool, how: dict[str, Any]) -> None:
    found = shown(tiff(NUMBERS[name], planar=planar, **how))[..., 0]
    assert np.abs(found.astype(int) - GREY).max() <= 1


@pytest.mark.parametrize("factor", [1, 257, 0x01010101])
def test_32_bits_without_a_sign(factor: int) -> None:
    assert (shown(tiff(GREY.astype(np.uint32) * factor))[..., 0] == GREY).all()


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("deflated", [False, True])
def test_12_bits_are_packed(deflated: bool, planar: bool) -> None:
    data = tiff(GREY.astype(np.uint16) * 16, bits=12, deflated=deflated, planar=planar)
    assert (shown(data)[..., 0] == GREY).all()


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize(
    "numbers", [255 - GREY, (255 - GREY).astype(np.uint16) * 257, 1 - GREY.astype(np.float32) / 255]
)
def test_white_is_zero(numbers: np.ndarray, deflated: bool, planar: bool) -> None:
    found = shown(tiff(numbers, meaning=0, deflated=deflated, planar=planar))[..., 0]
    assert np.abs(found.astype(int) - GREY).max() <= 1


@pytest.mark.parametrize("deflated", [False, True])
def test_white_is_zero_also_where_it_is_turned(deflated: bool) -> None:
    numbers = np.rot90(255 - GREY).astype(np.uint16) * 257
    assert (shown(tiff(numbers, meaning=0, orientation=6, deflated=deflated))[..., 0] == GREY).all()


@pytest.mark.parametrize(("odd", "seen"), [(np.nan, 0), (np.inf, 255), (-np.inf, 0), (-3e38, 0)])
def test_what_is_no_number(odd: float, seen: int) -> None:
    numbers = GREY.astype(np.float32) / 255
    numbers[:8] = odd
    found = shown(tiff(numbers))[..., 0]
    assert (found[:8] == seen).all()
    assert np.abs(found[8:].astype(int) - GREY[8:]).max() <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_numbers_of_no_range_are_refused(value: float) -> None:
    with pytest.raises(UnsupportedPicture, match="numbers from 0 to 255"):
        decode(tiff(np.full((16, 16), value, np.float32)), (16, 16), Limits())


def test_faults_write_nothing_on_stderr(tmp_path: Path) -> None:
    """In a process of its own, without what pytest does to logs."""
    garbled = bytearray(encoded(CAT, "TIFF", compression="tiff_lzw"))
    garbled[8:60] = b"\xff" * 52
    colours = struct.pack("<HHI", 277, 3, 1)
    too_many = tiff(GREY).replace(colours + b"\x01", colours + b"\xff")
    code = """
import sys
from model import errors, preprocess
for path in sys.argv[1:]:
    try:
        preprocess.decode(open(path, "rb").read(), (16, 16), preprocess.Limits())
    except errors.BrokenPicture:
        print("broken")
"""
    paths = [tmp_path / "garbled.tif", tmp_path / "too_many.tif"]
    for path, data in zip(paths, (garbled, too_many), strict=True):
        path.write_bytes(data)
    process = subprocess.run([sys.executable, "-c", code, *paths], cwd=ROOT, capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["broken", "broken"]
    assert process.stderr == ""


@pytest.mark.parametrize(
    ("tag", "kind", "value"),
    [(700, 2, "<x/>"), (700, 4, 5), (34665, 9, -5), (34853, 9, -100)],  # XMP, Exif and the place, of types they are not
)
def test_tags_that_are_not_of_the_pixels_spoil_nothing(tag: int, kind: int, value: Any) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[tag], tags[tag] = kind, value
    assert (shown(encoded(CAT, "TIFF", tiffinfo=tags)) == np.asarray(CAT)).all()


WITH_ALPHA = np.dstack([GREY, np.full_like(GREY, 128)])


@pytest.mark.parametrize("how", EVERY_STORAGE)
def test_grey_with_alpha(how: dict[str, Any]) -> None:
    found = shown(tiff(WITH_ALPHA, alpha=2, **how))[..., 0].astype(int)
    assert np.abs(found - (GREY * (128 / 255) + 127)).max() <= 1.5


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (tiff(WITH_ALPHA, alpha=1), "premultiplied"),
        (tiff(WITH_ALPHA, alpha=1, deflated=True), "premultiplied"),
        (tiff(WITH_ALPHA, alpha=2, deflated=True, planar=True), "stored apart"),
        (tiff(WITH_ALPHA, alpha=2, planar=True), "stored apart"),
        (tiff(WITH_ALPHA.astype(np.uint16), alpha=2), "Save it as PNG"),
        (tiff(np.asarray(CAT), compression=50001), "compressed as webp"),
    ],
)
def test_what_is_not_read_is_said(data: bytes, said: str) -> None:
    with pytest.raises(UnsupportedPicture, match=said):
        shown(data)
