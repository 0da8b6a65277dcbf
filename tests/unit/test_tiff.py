"""TIFFs show what they hold, whatever numbers they hold it in, and libtiff says nothing on stderr."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.errors import BrokenPicture, UnsupportedPicture
from model.preprocess import Limits, decode
from tests.pictures import encoded, tiff

pytestmark = pytest.mark.unit

CAT = Image.open(io.BytesIO((Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes())).resize((97, 64))
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


@pytest.mark.parametrize(("odd", "seen"), [(np.nan, 0), (np.inf, 255), (-np.inf, 0)])
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


def test_libtiff_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encoded(CAT, "TIFF", compression="tiff_lzw"))
    data[8:60] = b"\xff" * 52
    with pytest.raises(BrokenPicture):
        decode(bytes(data), (16, 16), Limits())
    assert capfd.readouterr().err == ""
