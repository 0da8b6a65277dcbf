"""What a file is, by its first bytes: a format of pictures, by its name, or what else was sent in the place of one."""

from __future__ import annotations

import base64
import binascii
import codecs
import re

# (where it stands, signature, name of the format)
_SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WEBP"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"8BPS", "PSD"),
    (0, b"gimp xcf", "XCF"),
    (0, b"qoif", "QOI"),
    (0, b"FUJIFILMCCD-RAW", "RAF (camera raw)"),
    (0, b"IIU\x00", "RW2 (camera raw)"),
    (0, b"IIRO", "ORF (camera raw)"),
    (0, b"IIRS", "ORF (camera raw)"),
    (0, b"MMOR", "ORF (camera raw)"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"DDS ", "DDS"),
    (0, b"BPG\xfb", "BPG"),
    (128, b"DICM", "DICOM"),
)
_BRANDS = {  # of files in ISO's base media format; the first that a file names decides
    "AVIF": {b"avif", b"avis"},
    "CR3 (camera raw)": {b"crx "},
    "HEIC": {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"},
}
_MOST_BRANDS = 64
_NETPBM = re.compile(rb"P[1-7Ff][ \t\r\n]")
_ICON = re.compile(rb"\x00\x00[\x01\x02]\x00[^\x00]\x00.{3}\x00", re.DOTALL)  # of few pictures; then a byte of zero
# Behind the length of a name: no palette, true colour or grey, plain or in runs; or a palette. Then a size and depth.
_TARGA = re.compile(
    rb".(?:\x00[\x02\x03\x0a\x0b]\x00{5}|\x01[\x01\x09].{4}[\x0f\x10\x18\x20]).{8}[\x08\x0f\x10\x18\x20][\x00-\x3f]",
    re.DOTALL,
)
_TARGA_ENDS = b"TRUEVISION-XFILE.\x00"

_LOOKED_AT = 65536  # bytes of a text
_SVG = re.compile(  # what may stand before the first element, and that
    rb"(?>\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*+(?:\[.*?\]\s*+)?>)*+<(?:\w+:)?svg[\s>/]", re.DOTALL | re.IGNORECASE
)
_HTML = re.compile(rb"(?>\s+|<!--.*?-->)*+<(?:!DOCTYPE\s+html|html|head|body)\b", re.DOTALL | re.IGNORECASE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_SPACE = b" \t\r\n\"'"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_MOST_LAYERS = 3
_REPLACED = "\N{REPLACEMENT CHARACTER}".encode()
# The first bytes of a JPEG and a PNG, read as Latin-1 and written as UTF-8.
_WIDENED = (b"\xc3\xbf\xc3\x98\xc3\xbf", b"\xc2\x89PNG")

# (where it stands, signature, what is said)
_OTHERS = (
    (0, b"%PDF", "It is a PDF. Send a page of it as a picture."),
    (4, b"ftyp", "It is a video. Send a frame of it as a picture."),
    (4, b"moov", "It is a video. Send a frame of it as a picture."),
    (4, b"mdat", "It is a video. Send a frame of it as a picture."),
    (0, b"\x1a\x45\xdf\xa3", "It is a video. Send a frame of it as a picture."),
    (8, b"AVI ", "It is a video. Send a frame of it as a picture."),
    (0, b"\x00\x00\x01\xba", "It is a video. Send a frame of it as a picture."),
    (0, b"\x00\x00\x01\xb3", "It is a video. Send a frame of it as a picture."),
    (0, b"\x1f\x8b", "It is packed with gzip. Unpack it, or say Content-Encoding: gzip."),
    (0, b"PK\x03\x04", "It is a ZIP archive. Send the pictures in it."),
    (0, b"http://", "It is an address. Send the bytes that are there."),
    (0, b"https://", "It is an address. Send the bytes that are there."),
)
_AS_TEXT = "It was read as text on its way, which destroys it. Read and send the file as bytes."


def picture_format(data: bytes) -> str | None:
    """The name of the format; None where the bytes are of none that is known here."""
    if data[4:8] == b"ftyp":
        return _of_brands(data)
    for place, signature, name in _SIGNATURES:
        if data.startswith(signature, place) and (name != "WEBP" or data.startswith(b"RIFF")):
            return name
    if _NETPBM.match(data):
        return "PPM"
    if _ICON.match(data):
        return "ICO"
    if data.endswith(_TARGA_ENDS) or _TARGA.match(data):
        return "TGA"
    return "SVG" if _SVG.match(_text(data)) else None


def advice(data: bytes) -> str:
    """What to do about data that is no picture, where it can be told; else empty."""
    for place, signature, said in _OTHERS:
        if data.startswith(signature, place):
            return said
    text = _text(data).strip(_SPACE)
    if text[:5].lower() == b"data:":
        return 'It is a data URL. Send the bytes that it stands for, or the URL as "b64" in JSON.'
    if layers := _layers(text):
        again = f", encoded {layers} times" if layers > 1 else ""
        return f'It is text in base64{again}. Send the bytes that it stands for, or the text as "b64" in JSON.'
    if text.startswith((b"{", b"[")):
        return "It looks like JSON. Send it with Content-Type: application/json."
    if _HTML.match(text):
        return "It is an HTML page. Send the picture itself."
    if text.startswith(b"--") and b"content-disposition:" in text[:1024].lower():
        return "It is a form. Let the HTTP library that makes the body set its Content-Type."
    return _AS_TEXT if data.startswith(_WIDENED) or _REPLACED in data[:16] else ""


def _of_brands(data: bytes) -> str | None:
    """Such a file names what it can be read as: the chief brand, a version, then the others."""
    length = min(int.from_bytes(data[:4]), 16 + 4 * _MOST_BRANDS)
    brands = {data[8:12], *(data[place : place + 4] for place in range(16, length, 4))}
    return next((name for name, known in _BRANDS.items() if brands & known), None)


def _text(data: bytes) -> bytes:
    return data[:_LOOKED_AT].removeprefix(codecs.BOM_UTF8)


def _layers(text: bytes) -> int:
    """How many times a picture was put into base64; 0 where that is not what the text is."""
    for count in range(1, _MOST_LAYERS + 1):
        text = b"".join(text.split())
        if not _BASE64.fullmatch(text):
            return 0
        text = text.rstrip(b"=").translate(_URL_SAFE)
        try:
            text = base64.b64decode(text[: len(text) // 4 * 4])
        except binascii.Error:
            return 0
        if picture_format(text):
            return count
        text = text.strip(_SPACE)
    return 0
