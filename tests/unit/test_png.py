"""What accompanies the pixels of a PNG does not spoil them; what belongs to them is obeyed and checked."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model import png, strips
from model.errors import BrokenPicture
from model.preprocess import Limits, decode
from tests.pictures import chunk, encoded
from tests.pictures import png as png_of

pytestmark = pytest.mark.unit

CAT = Image.open(io.BytesIO((Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes())).resize((97, 64))
PLAIN = encoded(CAT, "PNG")
HEAD, END = 33, 12  # bytes of the signature with IHDR, and of IEND
LARGE = np.random.default_rng(0).integers(0, 256, 1_500_000, np.uint8).tobytes()
SAYS_TURNED = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"[6:]
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def shown(data: bytes) -> Image.Image:
    return decode(data, CAT.size, Limits())


def wrong(data: bytes) -> bytes:
    """A chunk with a checksum that does not hold."""
    return data[:-1] + bytes([data[-1] ^ 1])


ACCOMPANYING = {
    "a large profile": chunk(b"iCCP", b"Display\0\0" + zlib.compress(LARGE)),
    "a broken profile": chunk(b"iCCP", b"Display\0\x07junk"),
    "a large text": chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(2_000_000))),
    "a large text of any language": chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(bytes(2_000_000))),
    "a text of another compression": chunk(b"zTXt", b"prompt\0\x07junk"),
    "a wrong checksum": wrong(chunk(b"tIME", b"\x07\xe0\1\1\1\1\1")),
    "a wrong checksum of tags": wrong(chunk(b"eXIf", SAYS_TURNED)),
    "too short a colour space": chunk(b"cHRM", b""),
    "broken frames": chunk(b"acTL", b"\0\0\0\2\0\0\0\0") + chunk(b"fcTL", bytes(26)),
    "what nobody knows": chunk(b"kiLn", b"?"),
}


@pytest.mark.parametrize("name", ACCOMPANYING)
@pytest.mark.parametrize("place", [HEAD, -END])
def test_what_accompanies_the_pixels(name: str, place: int) -> None:
    data = PLAIN[:place] + ACCOMPANYING[name] + PLAIN[place:]
    assert shown(data).tobytes() == CAT.tobytes()
    assert png.essential(data) == PLAIN


@pytest.mark.parametrize("tags", [chunk(b"eXIf", SAYS_TURNED), chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)])
def test_the_orientation_is_obeyed(tags: bytes) -> None:
    turned = CAT.transpose(Image.Transpose.ROTATE_270)
    assert shown(PLAIN[:HEAD] + tags + PLAIN[HEAD:]).tobytes() == turned.tobytes()


def test_transparency_is_obeyed_and_checked() -> None:
    black, clear = Image.new("RGB", (16, 16)), chunk(b"tRNS", bytes(6))
    data = encoded(black, "PNG")
    assert shown(data[:HEAD] + clear + data[HEAD:]).getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(BrokenPicture):
        shown(data[:HEAD] + wrong(clear) + data[HEAD:])


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_white(bits: int, interlaced: bool) -> None:
    most = 2**bits - 1
    pixels = np.random.default_rng(0).integers(0, most, (21, 30), np.uint16, endpoint=True)
    pixels[:8] = most // 3
    packed = bits if bits < 8 else None
    data = png_of(
        pixels if bits == 16 else pixels.astype(np.uint8), bits=packed, clear=(most // 3,), interlaced=interlaced
    )
    meant = pixels >> 8 if bits == 16 else pixels * (255 // most)
    meant = np.where(pixels == most // 3, 255, meant)
    assert (np.asarray(decode(data, (30, 21), Limits()))[..., 0] == meant).all()


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_transparent_colour_is_white(dtype: type, interlaced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "PIXELS", 30 * 4)
    most = np.iinfo(dtype).max
    pixels = np.random.default_rng(0).integers(0, most, (21, 30, 3), dtype, endpoint=True)
    pixels[:8] = clear = (most // 3, 7, most - 7)
    pixels[2] = (most // 3, 6, most - 7)  # as good as the colour, and not it
    meant = pixels >> 8 if dtype == np.uint16 else pixels.copy()
    meant[:8] = 255
    meant[2] = pixels[2] >> (8 if dtype == np.uint16 else 0)
    assert (np.asarray(decode(png_of(pixels, clear=clear, interlaced=interlaced), (30, 21), Limits())) == meant).all()


@pytest.mark.parametrize("kind", [b"IDAT", b"IHDR"])
def test_damaged_pixels_are_found(kind: bytes) -> None:
    place = PLAIN.index(kind)
    with pytest.raises(BrokenPicture):
        shown(PLAIN[: place + 8] + bytes([PLAIN[place + 8] ^ 255]) + PLAIN[place + 9 :])


def test_a_length_that_leads_beyond_the_end_is_found() -> None:
    with pytest.raises(BrokenPicture):
        shown(PLAIN[:HEAD] + b"\x7f\xff\xff\xfftEXt" + PLAIN[HEAD:])
