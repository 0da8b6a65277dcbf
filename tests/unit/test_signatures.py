"""Pictures of other formats are refused by name, and what is no picture with what to do about it."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from model.errors import NotAPicture, UnsupportedPicture
from model.preprocess import Limits, decode
from model.signatures import advice, picture_format
from tests.pictures import FORMS

pytestmark = pytest.mark.unit

CAT = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()
PNG = FORMS["png"](Image.new("RGB", (16, 16)))


def media(chief: bytes, *others: bytes) -> bytes:
    brands = chief + bytes(4) + b"".join(others)
    return (8 + len(brands)).to_bytes(4) + b"ftyp" + brands + b"\0\0\0\x08mdat"


def written(kind: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (32, 20), 1).save(file, kind)
    return file.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
OTHERS = {
    "JPEG XL": [b"\xff\x0a\xfa\x7f", b"\0\0\0\x0cJXL \r\n\x87\n"],
    "JPEG 2000": [b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51\0\x2f"],
    "ICO": [written("ICO")],
    "PPM": [written("PPM"), written("PPM", "L"), written("PPM", "1"), b"P3\n# made by hand\n1 1 255 0 0 0", b"P7\n"],
    "TGA": [written("TGA"), written("TGA", "L"), written("TGA", "P"), written("TGA", "RGBA"), written("TGA")[:-26]],
    "QOI": [b"qoif\0\0\0\1"],
    "PSD": [b"8BPS\0\1"],
    "DICOM": [bytes(128) + b"DICM"],
    "CR3 (camera raw)": [media(b"crx ", b"isom")],
    "RAF (camera raw)": [b"FUJIFILMCCD-RAW 0201"],
    "RW2 (camera raw)": [b"IIU\0\x18\0\0\0"],
    "ORF (camera raw)": [b"IIRO\x08\0\0\0", b"IIRS\x08\0\0\0", b"MMOR\0\0\0\x08"],
    "HEIC": [media(b"heic", b"mif1"), media(b"msf1", b"hevc"), media(b"mif1", b"heic")],
    "AVIF": [media(b"avif", b"mif1"), media(b"mif1", b"avif", b"miaf"), media(b"avis")],
    "SVG": [
        SVG,
        b"\xef\xbb\xbf" + SVG,
        b"<svg\n width='1'/>",
        b"<svg>",
        b"\n  " + SVG,
        b"<?xml version='1.0'?>\n<!-- drawn -->\n" + SVG,
        b"<!-- " + b"drawn " * 1000 + b"-->" + SVG,
        b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd" [<!ENTITY a "b">]>\n' + SVG,
        b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>",
    ],
}


@pytest.mark.parametrize(("name", "data"), [(name, data) for name, every in OTHERS.items() for data in every])
def test_other_formats_are_refused_by_name(name: str, data: bytes) -> None:
    assert picture_format(data) == name
    with pytest.raises(UnsupportedPicture, match="Convert to JPEG") as caught:
        decode(data, (32, 32), Limits())
    assert name in caught.value.message


@pytest.mark.parametrize("name", FORMS)
def test_every_format_that_is_taken_is_known(name: str) -> None:
    found = picture_format(FORMS[name](Image.new("RGB", (16, 16), "red")))
    assert found in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


ENCODED = base64.b64encode(CAT)
SAID = {
    "text in base64. Send the bytes": [
        ENCODED,
        base64.b64encode(PNG),
        base64.urlsafe_b64encode(CAT),
        base64.encodebytes(CAT),
        ENCODED.rstrip(b"="),
        ENCODED[:-3],
        b'"' + ENCODED + b'"\n',
        b"\xef\xbb\xbf" + ENCODED,
        base64.b64encode(FORMS["webp"](Image.new("RGB", (16, 16)))),
    ],
    "encoded 2 times": [base64.b64encode(ENCODED), base64.b64encode(base64.encodebytes(PNG))],
    "data URL": [b"data:image/jpeg;base64," + ENCODED, b" DATA:image/png;base64," + ENCODED],
    "JSON": [b'{"instances": []}', b'\n[{"b64": ""}]', b'\xef\xbb\xbf{"a": 1}'],
    "HTML": [b"<!DOCTYPE html><html>", b"\n<html lang=en><body><svg></svg>", b"<!-- x --><HTML>"],
    "PDF": [b"%PDF-1.7"],
    "video": [media(b"isom", b"mp42"), media(b"qt  "), b"RIFF\0\0\0\0AVI LIST", b"\x1a\x45\xdf\xa3\x01"],
    "read as text": [
        CAT.decode("utf-8", "replace").encode(),
        PNG.decode("utf-8", "replace").encode(),
        CAT.decode("latin-1").encode(),
        PNG.decode("latin-1").encode(),
    ],
    "gzip": [b"\x1f\x8b\x08\0"],
    "ZIP": [b"PK\x03\x04"],
    "form": [b'--abc\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'],
    "address": [b"https://example.com/cat.jpg"],
}


@pytest.mark.parametrize(("said", "data"), [(said, data) for said, every in SAID.items() for data in every])
def test_what_is_no_picture_is_told_what_it_is(said: str, data: bytes) -> None:
    assert picture_format(data) is None
    with pytest.raises(NotAPicture, match="is not a picture") as caught:
        decode(data, (32, 32), Limits())
    assert said in caught.value.message


@pytest.mark.parametrize("data", [b"hello", bytes(1000), b"A" * 100, bytes(range(256)), b"<a>", b"\0\0\1\0"])
def test_what_nobody_knows(data: bytes) -> None:
    assert picture_format(data) is None
    assert advice(data) == ""


def test_a_long_text_is_told_at_once() -> None:
    for data in (
        b"<!--" * 10**6,
        b"<!-- -->" * 10**6,
        b"<?" * 10**6,
        b"<!DOCTYPE [" * 10**6,
        b"A" * 10**7,
        b" " * 10**7,
    ):
        assert picture_format(data) is None
        assert advice(data) == ""
