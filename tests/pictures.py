"""Pictures for tests, made here: one photo in every format and mode that is taken, and files that mean harm."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageOps

ORIENTATION = 0x0112  # the EXIF tag
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB = 0, 2  # colour types of PNG
# Adam7: first column and row of each pass, and the steps from there.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file's bytes."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


# --- One photo in every form ----------------------------------------------------------------------------------------


def _see_through(picture: Image.Image) -> Image.Image:
    """The photo over full transparency; what is transparent must show as white."""
    picture = picture.convert("RGBA")
    alpha = Image.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, picture.width // 8, picture.height))
    picture.putalpha(alpha)
    return picture


def _palette(picture: Image.Image) -> Image.Image:
    return picture.quantize(256)


def _deep(picture: Image.Image) -> np.ndarray:
    """16 bits a channel."""
    return np.asarray(picture).astype(np.uint16) * 257


def _frames(picture: Image.Image) -> dict[str, Any]:
    """Options to save an animation of which only the first frame is the photo."""
    return {"save_all": True, "append_images": [Image.new("RGB", picture.size, "red")] * 2, "duration": 100}


# The photo as it is: the answer must be the same, but for rounding.
EXACT: dict[str, Callable[[Image.Image], bytes]] = {
    "png": lambda p: encoded(p, "PNG"),
    "png-rgba": lambda p: encoded(p.convert("RGBA"), "PNG"),
    "png-interlaced": lambda p: png(np.asarray(p), interlaced=True),
    "png-rgb16": lambda p: png(_deep(p)),
    "webp-lossless": lambda p: encoded(p, "WEBP", lossless=True),
    "webp-alpha": lambda p: encoded(p.convert("RGBA"), "WEBP", lossless=True),
    "webp-animated": lambda p: encoded(p, "WEBP", lossless=True, **_frames(p)),
    "bmp": lambda p: encoded(p, "BMP"),
    "bmp-rgba": lambda p: encoded(p.convert("RGBA"), "BMP"),
    "tiff": lambda p: encoded(p, "TIFF"),
    "tiff-lzw": lambda p: encoded(p, "TIFF", compression="tiff_lzw"),
    "tiff-deflate": lambda p: encoded(p, "TIFF", compression="tiff_deflate"),
    "tiff-rgb16": lambda p: tiff(_deep(p)),
    "tiff-pages": lambda p: encoded(p, "TIFF", **_frames(p)),
}

# The photo with some loss, or without its colours: the answer may shift.
LOSSY: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg": lambda p: encoded(p, "JPEG", quality=90),
    "jpeg-progressive": lambda p: encoded(p, "JPEG", quality=90, progressive=True),
    "jpeg-grey": lambda p: encoded(p.convert("L"), "JPEG"),
    "jpeg-cmyk": lambda p: encoded(p.convert("CMYK"), "JPEG", quality=90),
    "jpeg-mpo": lambda p: encoded(p, "MPO", save_all=True, append_images=[p]),
    "png-grey": lambda p: encoded(p.convert("L"), "PNG"),
    "png-grey-alpha": lambda p: encoded(p.convert("LA"), "PNG"),
    "png-grey16": lambda p: png(_deep(p.convert("L"))),
    "png-1bit": lambda p: encoded(p.convert("1"), "PNG"),
    "png-palette": lambda p: encoded(_palette(p), "PNG"),
    "png-palette-transparent": lambda p: encoded(_palette(p), "PNG", transparency=0),
    "png-transparent": lambda p: encoded(_see_through(p), "PNG"),
    "webp": lambda p: encoded(p, "WEBP", quality=90),
    "webp-transparent": lambda p: encoded(_see_through(p), "WEBP"),
    "gif": lambda p: encoded(p, "GIF"),
    "gif-transparent": lambda p: encoded(_palette(p), "GIF", transparency=0),
    "gif-animated": lambda p: encoded(p, "GIF", **_frames(p)),
    "bmp-palette": lambda p: encoded(_palette(p), "BMP"),
    "bmp-1bit": lambda p: encoded(p.convert("1"), "BMP"),
    "tiff-grey16": lambda p: encoded(Image.fromarray(_deep(p.convert("L"))), "TIFF"),
    "tiff-float": lambda p: encoded(p.convert("F"), "TIFF"),
    "tiff-cmyk": lambda p: encoded(p.convert("CMYK"), "TIFF"),
    "tiff-1bit-fax": lambda p: encoded(p.convert("1"), "TIFF", compression="group4"),
    "tiff-jpeg": lambda p: encoded(p, "TIFF", compression="jpeg"),
}

FORMS = EXACT | LOSSY


def turned(picture: Image.Image, orientation: int) -> bytes:
    """The picture as a camera held some other way saves it: turned, with the EXIF orientation that sets it right."""
    # Of each orientation the transposition that undoes it; 6 and 8 undo each other, the rest themselves.
    undo = {6: 8, 8: 6}.get(orientation, orientation)
    tagged = picture.copy()
    tagged.getexif()[ORIENTATION] = undo
    stored = ImageOps.exif_transpose(tagged)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(stored, "JPEG", quality=95, subsampling=0, exif=exif)


Tag = tuple[int, int, int, bytes]  # its number, its type, how many values, and these


def tags(orientation: int, *others: Tag, gps: tuple[Tag, ...] = ()) -> bytes:
    """A block of Exif tags as no library would write it: others in its first directory, gps in that of the place."""
    first = sorted([(ORIENTATION, 3, 1, struct.pack(">H", orientation)), *others])
    gps_at = 8 + 2 + 12 * (len(first) + 1) + 4
    first.append((0x8825, 4, 1, struct.pack(">I", gps_at)))
    beyond_at = gps_at + 2 + 12 * len(gps) + 4
    data, beyond = b"Exif\0\0MM\0*\0\0\0\x08", b""
    for directory in (first, gps):
        data += struct.pack(">H", len(directory))
        for tag, kind, count, value in directory:
            if len(value) > 4:
                value, beyond = struct.pack(">I", beyond_at + len(beyond)), beyond + value
            data += struct.pack(">HHI", tag, kind, count) + value.ljust(4, b"\0")
        data += bytes(4)
    return data + beyond


# --- Encoders for what Pillow reads and does not write --------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: np.ndarray, *, interlaced: bool = False, bits: int | None = None, clear: tuple[int, ...] = ()) -> bytes:
    """8 or 16 bits, grey (height, width) or RGB (height, width, 3). bits: 1, 2 or 4 of grey are packed. clear: the
    colour that is transparent.
    """
    height, width = pixels.shape[:2]
    depth, colour = pixels.dtype.itemsize * 8, RGB if pixels.ndim == 3 else GREY
    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [pixels]
    rows = (row for part in passes for row in part if row.size)
    packed = (_bits(row, bits) if bits else row.astype(row.dtype.newbyteorder(">")).tobytes() for row in rows)
    data = b"".join(b"\x00" + row for row in packed)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits or depth, colour, 0, 0, interlaced))
    header += chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)) if clear else b""
    return PNG_SIGNATURE + header + chunk(b"IDAT", zlib.compress(data, 1)) + chunk(b"IEND", b"")


def tiff(
    pixels: np.ndarray,
    *,
    meaning: int | None = None,
    bits: int | None = None,
    planar: bool = False,
    deflated: bool = False,
    order: str = "<",
    orientation: int = 1,
    alpha: int | None = None,
    compression: int | None = None,
) -> bytes:
    """A TIFF in one strip a plane, of any numbers: (height, width), or (height, width, 2 to 4).

    meaning: PhotometricInterpretation; 0 white is zero, 1 black is zero, 2 RGB, 5 CMYK. bits: 12 packs the numbers.
    alpha: what the last channel is; 1 premultiplied, 2 not. compression: what the file claims, whatever it holds.
    planar: each colour by itself. order: of the bytes, as numpy has it. orientation: as in EXIF.
    """
    height, width = pixels.shape[:2]
    colours = pixels.shape[2] if pixels.ndim == 3 else 1
    meaning = {1: 1, 2: 1, 3: 2, 4: 5}[colours] if meaning is None else meaning
    stored = pixels.astype(pixels.dtype.newbyteorder(order))
    planes = [stored[..., colour] for colour in range(colours)] if planar and colours > 1 else [stored]
    strips = [_packed(plane) if bits == 12 else plane.tobytes() for plane in planes]
    strips = [zlib.compress(strip) for strip in strips] if deflated else strips
    short, long = "H", "I"
    entries = [
        (256, long, [width]),
        (257, long, [height]),
        (258, short, [bits or pixels.dtype.itemsize * 8] * colours),
        (259, short, [compression or (8 if deflated else 1)]),
        (262, short, [meaning]),
        (273, long, [8 + sum(map(len, strips[:number])) for number in range(len(strips))]),
        (274, short, [orientation]),
        (277, short, [colours]),
        (278, long, [height]),
        (279, long, [len(strip) for strip in strips]),
        (284, short, [2 if planar else 1]),
        (339, short, [{"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]] * colours),
    ]
    entries = sorted([*entries, (338, short, [alpha])]) if alpha else entries
    data = b"".join(strips)
    directory, beyond = struct.pack(order + "H", len(entries)), b""
    beyond_at = 8 + len(data) + 2 + 12 * len(entries) + 4
    for tag, kind, values in entries:
        value = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(value) > 4:
            value, beyond = struct.pack(order + "I", beyond_at + len(beyond)), beyond + value
        directory += struct.pack(order + "HHI", tag, 3 if kind == short else 4, len(values)) + value.ljust(4, b"\x00")
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "I", 8 + len(data))
    return head + data + directory + struct.pack(order + "I", 0) + beyond


def _packed(numbers: np.ndarray) -> bytes:
    """12 bits each, most significant first, each row to whole bytes."""
    return b"".join(_bits(row, 12) for row in numbers)


def _bits(row: np.ndarray, count: int) -> bytes:
    """So many bits each, most significant first."""
    return np.packbits((row[:, None] >> np.arange(count - 1, -1, -1) & 1).astype(np.uint8)).tobytes()


# --- Files that mean harm -------------------------------------------------------------------------------------------


def png_bomb(side: int = 30_000) -> bytes:
    """A small, valid, black-and-white PNG of side x side pixels: 110 KB that open to gigabytes as RGB."""
    compress = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    data = b"".join(compress.compress(row) for _ in range(side)) + compress.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, GREY, 0, 0, 0)
    return PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


SCAN = b"\xff\xda\x00"


def jpeg_of_scans(picture: Image.Image, scans: int, **options: Any) -> bytes:
    """A progressive JPEG whose last scan, a few bytes of refinement, stands there again: each is a pass over it all."""
    data = encoded(picture, "JPEG", progressive=True, **options)
    last, end = data.rindex(SCAN), len(data) - 2
    return data[:end] + data[last:end] * (scans - data[data.index(b"\xff\xc2") :].count(SCAN)) + data[end:]


def jpeg_of_separate_colours(picture: Image.Image, scans: int) -> bytes:
    """A sequential JPEG that gives its first colour alone, in as many scans, each without data."""
    data = encoded(picture, "JPEG")
    scan = SCAN + b"\x08\x01\x01\x00\x00\x3f\x00"
    return data[: data.index(SCAN)] + scan * scans + b"\xff\xd9"


def jpeg_of_tall_samples(picture: Image.Image) -> bytes:
    """A JPEG with a sample of colour for every four lines (4:4:1), each colour in a scan of its own.

    It is what a lossless turn makes of 4:1:1.
    """
    width, height = picture.size
    luma, *chroma = picture.convert("YCbCr").split()
    parts = [encoded(part, "JPEG") for part in (luma, *(part.resize((width, -(-height // 4))) for part in chroma))]
    frame = parts[0].index(b"\xff\xc0")
    tables = frame + 2 + int.from_bytes(parts[0][frame + 2 : frame + 4])  # those of a grey JPEG are always the same
    sizes = struct.pack(">HBHHB", 17, 8, height, width, 3) + b"\x01\x14\x00\x02\x11\x00\x03\x11\x00"
    scans = [
        SCAN + bytes((8, 1, number, 0, 0, 63, 0)) + part[part.index(SCAN) + 10 : -2]
        for number, part in enumerate(parts, 1)
    ]
    head = parts[0][:frame] + b"\xff\xc0" + sizes + parts[0][tables : parts[0].index(SCAN)]
    return head + b"".join(scans) + b"\xff\xd9"


def cuts(data: bytes, count: int = 24) -> list[int]:
    """Lengths at which to cut a file short: its first bytes one by one, then evenly over the rest.

    Not within its last bytes, which in some formats hold nothing of the picture.
    """
    return [*range(1, 12), *range(12, len(data) - 32, len(data) // count)]
