"""Picture bytes -> tensor: every format and colour mode, orientation, and hostile input."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from model import errors, strips
from model.preprocess import Budget, Limits, Preprocessing, decode, to_tensor
from tests.pictures import Tag, tags

pytestmark = pytest.mark.unit

LIMITS = Limits()
HOW = Preprocessing(height=32, width=32)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def scene(width: int = 96, height: int = 64) -> Image.Image:
    """Four soft quarters of different colours, so that a turn or a swapped channel shows."""
    small = Image.new("RGB", (2, 2))
    for spot, colour in {(0, 0): "red", (1, 0): "lime", (0, 1): "blue", (1, 1): "white"}.items():
        small.putpixel(spot, Image.new("RGB", (1, 1), colour).getpixel((0, 0)))
    return small.resize((width, height), Image.Resampling.BILINEAR)


def difference(data: bytes, expected: Image.Image) -> float:
    """Mean difference in grey levels (0..255) of what is decoded from what was meant."""
    answer = to_tensor(data, HOW, LIMITS)
    assert answer.shape == (32, 32, 3)
    assert answer.dtype == np.float32
    meant = np.asarray(expected.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR), np.float32)
    return float(np.abs((answer + 1) * 127.5 - meant).mean())


FORMATS = {
    "jpeg": ("JPEG", {"quality": 90}),
    "progressive jpeg": ("JPEG", {"quality": 90, "progressive": True}),
    "jpeg 4:4:4": ("JPEG", {"quality": 90, "subsampling": 0}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"quality": 90}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "lzw tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "deflate tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "jpeg tiff": ("TIFF", {"compression": "jpeg", "quality": 90}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_shows_the_same_picture(name: str) -> None:
    kind, options = FORMATS[name]
    assert difference(encoded(scene(), kind, **options), scene()) < 4


def test_gif_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert difference(data, frames[0]) < 3


def test_animated_webp_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50, lossless=True)
    assert difference(data, frames[0]) < 3


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "JPEG"), ("L", "PNG"), ("1", "PNG"), ("P", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("CMYK", "TIFF"),
     ("L", "TIFF"), ("YCbCr", "TIFF"), ("P", "BMP"), ("1", "TIFF"), ("LAB", "TIFF")],
)  # fmt: skip
def test_every_colour_mode(mode: str, kind: str) -> None:
    if mode == "LAB":
        picture = Image.merge("LAB", [Image.new("L", (40, 40), value) for value in (255, 128, 128)])
        meant = Image.new("RGB", (40, 40), "white")
        with contextlib.suppress(errors.PictureError):  # refused clearly where there is no conversion: as good
            assert difference(encoded(picture, kind), meant) < 60
        return
    picture = scene().convert(mode)
    assert difference(encoded(picture, kind), picture) < 8


def test_sixteen_bits_of_grey() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    meant = Image.fromarray((ramp / 256).astype(np.uint8))
    picture = Image.fromarray(ramp.astype(np.uint16))
    assert difference(encoded(picture, "PNG"), meant) < 2
    assert difference(encoded(picture, "TIFF"), meant) < 2


def test_sixteen_bits_of_colour() -> None:
    """Pillow cannot write one, so the PNG is put together here: 8x8, all orange."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    row = b"\0" + b"\xff\xff\x80\x00\x00\x00" * 8
    head = (8).to_bytes(4, "big") * 2 + bytes([16, 2, 0, 0, 0])
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row * 8)) + chunk(b"IEND", b"")
    assert difference(data, Image.new("RGB", (8, 8), (255, 128, 0))) < 2


@pytest.mark.parametrize(("scale", "kind"), [(1.0, np.float32), (255.0, np.float32), (65535, np.int32)])
def test_tiffs_of_numbers(scale: float, kind: type) -> None:
    ramp = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    picture = Image.fromarray((ramp * scale).astype(kind))
    assert difference(encoded(picture, "TIFF"), Image.fromarray((ramp * 255).astype(np.uint8))) < 2


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparent_parts_show_white(kind: str) -> None:
    picture = scene().convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    white = Image.new("RGBA", picture.size, "white")
    options = {"lossless": True} if kind == "WEBP" else {}
    assert difference(encoded(picture, kind, **options), Image.alpha_composite(white, picture)) < 3
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    assert difference(encoded(clear, kind, **options), Image.new("RGB", (20, 20), "white")) < 1


def test_large_pictures_take_no_copies_of_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """In strips, the last of them shorter; the pixels are those of the whole."""
    shades = Image.linear_gradient("L").resize((37, 50))
    clear = scene().resize((37, 50))
    clear.putalpha(shades)
    wide = Image.fromarray(np.arange(37 * 50, dtype=np.uint16).reshape(50, 37) * 35)
    whole = [decode(encoded(picture, "PNG"), (37, 50), LIMITS) for picture in (clear, wide)]
    monkeypatch.setattr(strips, "PIXELS", 37 * 8)
    cut = [decode(encoded(picture, "PNG"), (37, 50), LIMITS) for picture in (clear, wide)]
    assert [part.tobytes() for part in cut] == [part.tobytes() for part in whole]
    assert (
        whole[0].tobytes()
        == Image.alpha_composite(Image.new("RGBA", (37, 50), "white"), clear).convert("RGB").tobytes()
    )


def test_transparent_palettes_and_grey_with_alpha() -> None:
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    white, green = Image.new("RGB", (20, 20), "white"), Image.new("RGB", (20, 20), "lime")
    assert difference(encoded(palette, "PNG", transparency=1), white) < 1
    assert difference(encoded(palette, "PNG", transparency=0), green) < 1
    assert difference(encoded(palette, "GIF", transparency=1), white) < 1
    assert difference(encoded(Image.new("LA", (20, 20), (0, 0)), "PNG"), white) < 1
    assert difference(encoded(Image.new("RGB", (20, 20), "lime"), "PNG", transparency=(0, 255, 0)), white) < 1


def small_gif(frame: Image.Image, place: tuple[int, int], canvas: tuple[int, int]) -> bytes:
    """A GIF whose only frame is smaller than its canvas, as tools that save space make them."""
    data = bytearray(encoded(frame, "GIF"))
    data[6:10] = struct.pack("<HH", *canvas)
    at = data.index(b"," + bytes(4) + struct.pack("<HH", *frame.size))
    data[at + 1 : at + 5] = struct.pack("<HH", *place)
    return bytes(data)


def small_webp(frame: Image.Image, place: tuple[int, int], canvas: tuple[int, int], count: int) -> bytes:
    """An animated WebP without alpha, whose frames are smaller than its canvas. place: even numbers."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)

    def small(*numbers: int) -> bytes:
        return b"".join(number.to_bytes(3, "little") for number in numbers)

    width, height = frame.size
    held = encoded(frame, "WEBP", lossless=True)[12:]
    shown = small(place[0] // 2, place[1] // 2, width - 1, height - 1, 100) + b"\0" + held
    chunks = chunk(b"VP8X", b"\x02\0\0\0" + small(canvas[0] - 1, canvas[1] - 1)) + chunk(b"ANIM", bytes(6))
    return b"RIFF" + chunk(b"", b"WEBP" + chunks + chunk(b"ANMF", shown) * count)


@pytest.mark.parametrize("size", [(30, 20), (60, 50), (40, 50)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_canvas_that_a_gif_leaves_is_white(mode: str, size: tuple[int, int]) -> None:
    frame = scene(30, 20).convert(mode)
    meant = Image.new("RGB", size, "white")
    place = (size[0] - 30) // 2, (size[1] - 20) // 2
    meant.paste(Image.open(io.BytesIO(encoded(frame, "GIF"))).convert("RGB"), place)
    assert decode(small_gif(frame, place, size), size, LIMITS).tobytes() == meant.tobytes()


@pytest.mark.parametrize("count", [1, 3])
def test_canvas_that_a_webp_leaves_is_white(count: int) -> None:
    meant = Image.new("RGB", (60, 50), "white")
    meant.paste(scene(30, 20), (10, 8))
    assert decode(small_webp(scene(30, 20), (10, 8), (60, 50), count), (60, 50), LIMITS).tobytes() == meant.tobytes()


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # stored turned left, shown turned right
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_obeyed(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    stored = scene(600, 400).transpose(TURNS[orientation])
    if kind == "TIFF":
        options["tiffinfo"] = {0x0112: orientation}
    data = encoded(stored, kind, **options, **({} if kind == "TIFF" else {"exif": exif}))
    assert difference(data, scene(600, 400)) < 3


_SIGNED_RATIONAL, _BYTE, _ASCII = 10, 1, 2
UNUSUAL: dict[str, dict[str, Tag]] = {  # Pillow reads such tags, and cannot write them
    "gps": {
        "altitude below zero": (6, _SIGNED_RATIONAL, 1, struct.pack(">ii", -48, 1)),
        "longitude below zero": (4, _SIGNED_RATIONAL, 3, struct.pack(">6i", -48, 1, 0, 1, 0, 1)),
        "reference of the altitude as text": (5, _ASCII, 2, b"0\0"),
        "version as text": (0, _ASCII, 5, b"2.2\0\0"),
        "latitude as text": (2, _ASCII, 6, b"48.20\0"),
        "time as text": (7, _ASCII, 9, b"12:00:00\0"),
        "differential as text": (30, _ASCII, 2, b"0\0"),
        "direction as text": (17, _ASCII, 4, b"180\0"),
    },
    "others": {
        "resolution as text": (0x011A, _ASCII, 3, b"72\0"),
        "resolution below zero": (0x011A, _SIGNED_RATIONAL, 1, struct.pack(">ii", -72, 1)),
        "unit as text": (0x0128, _ASCII, 2, b"2\0"),
        "width as text": (0x0100, _ASCII, 4, b"600\0"),
        "positions as bytes": (0x0213, _BYTE, 1, b"\1"),
    },
}


@pytest.mark.parametrize(("where", "name"), [(where, name) for where, tags in UNUSUAL.items() for name in tags])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_no_other_tag_switches_the_orientation_off(kind: str, where: str, name: str) -> None:
    tag = UNUSUAL[where][name]
    exif = tags(6, gps=(tag,)) if where == "gps" else tags(6, tag)
    data = encoded(scene(600, 400).transpose(TURNS[6]), kind, quality=95, exif=exif)
    assert difference(data, scene(600, 400)) < 3


@pytest.mark.parametrize("orientation", [1, *TURNS])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_is_obeyed_beside_an_unusual_tag(orientation: int, kind: str) -> None:
    stored = scene(600, 400)
    stored = stored.transpose(TURNS[orientation]) if orientation in TURNS else stored
    tag = UNUSUAL["gps"]["altitude below zero"]
    data = encoded(stored, kind, quality=95, exif=tags(orientation, gps=(tag,)))
    assert difference(data, scene(600, 400)) < 3


MODES = [("PNG", mode) for mode in ("1", "L", "P", "LA", "RGBA", "I;16")]
MODES += [("TIFF", mode) for mode in ("1", "L", "P", "RGBA", "CMYK", "I;16", "F")]


@pytest.mark.parametrize(("kind", "mode"), MODES)
@pytest.mark.parametrize("orientation", TURNS)
def test_every_mode_is_turned(orientation: int, kind: str, mode: str) -> None:
    stored = Image.linear_gradient("L").resize((30, 20)).rotate(20)
    stored = Image.fromarray(np.asarray(stored).astype(np.uint16) * 257) if mode == "I;16" else stored.convert(mode)
    upright, turned = (
        decode(
            encoded(stored, kind, **({"tiffinfo": {0x0112: turn}} if kind == "TIFF" else {"exif": tags(turn)})),
            (30, 20),
            LIMITS,
        )
        for turn in (1, orientation)
    )
    assert turned.transpose(TURNS[orientation]).tobytes() == upright.tobytes()
    assert turned.transpose(TURNS[orientation]).size == upright.size


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_a_senseless_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert difference(encoded(scene(), "JPEG", quality=95, exif=exif), scene()) < 3


def test_broken_exif_is_ignored() -> None:
    assert difference(encoded(scene(), "JPEG", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), scene()) < 3


def test_a_large_jpeg_is_not_decoded_in_full() -> None:
    data = encoded(scene(1600, 1200), "JPEG")
    assert decode(data, (100, 100), LIMITS).size == (200, 150)
    assert difference(data, scene(1600, 1200)) < 4


def test_crop_keeps_the_aspect() -> None:
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    tensor = to_tensor(encoded(wide, "PNG"), Preprocessing(32, 32, fit="crop"), LIMITS)
    assert tensor[..., 2].min() > 0.7


@pytest.mark.parametrize(("name", "low", "high"), [("0..255", 0, 255), ("0..1", 0, 1), ("-1..1", -1, 1)])
def test_ranges(name: str, low: float, high: float) -> None:
    picture = Image.new("RGB", (10, 10), "black")
    picture.paste("white", (5, 0, 10, 10))
    tensor = to_tensor(encoded(picture, "PNG"), Preprocessing(10, 10, range=name), LIMITS)
    assert (tensor.min(), tensor.max()) == (pytest.approx(low), pytest.approx(high))


def test_colour_order() -> None:
    data = encoded(Image.new("RGB", (10, 10), "red"), "PNG")
    assert to_tensor(data, Preprocessing(10, 10, colour="bgr"), LIMITS)[0, 0].tolist() == [-1, -1, 1]


def refused(data: bytes, limits: Limits = LIMITS) -> type[errors.PictureError]:
    with pytest.raises(errors.PictureError) as caught:
        to_tensor(data, HOW, limits)
    assert len(caught.value.message) > 20
    return caught.type


def test_what_is_no_picture() -> None:
    assert refused(b"") is errors.EmptyPicture
    assert refused(b"hello") is errors.NotAPicture
    assert refused(bytes(1000)) is errors.NotAPicture
    assert refused(b"%PDF-1.7") is errors.NotAPicture


@pytest.mark.parametrize(
    "data",
    [b"<svg xmlns='x'/>" + b"<svg>", b"<?xml version='1.0'?><svg/>", b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypavif",
     b"\0\0\0\x0cjP  \r\n", b"8BPS\0\1"],
)  # fmt: skip
def test_pictures_of_other_formats_are_named(data: bytes) -> None:
    assert refused(data) is errors.UnsupportedPicture


def test_sizes() -> None:
    assert refused(encoded(Image.new("RGB", (1, 1)), "PNG")) is errors.PictureTooSmall
    assert refused(encoded(Image.new("RGB", (1, 1)), "JPEG")) is errors.PictureTooSmall
    assert refused(encoded(Image.new("RGB", (1000, 2)), "PNG")) is errors.PictureTooSmall
    assert refused(encoded(scene(), "PNG"), Limits(max_pixels=96 * 64 - 1)) is errors.PictureTooLarge
    assert to_tensor(encoded(scene(), "PNG"), HOW, Limits(max_pixels=96 * 64)).shape == (32, 32, 3)


def decoded_together(data: bytes, count: int = 16) -> int:
    """How many of so many equal pictures of the most pixels are decoded for one request."""
    limits = Limits(max_pixels=1600 * 1200)
    budget = Budget(limits)
    for number in range(count):
        try:
            to_tensor(data, HOW, limits, budget)
        except errors.PictureTooLarge:
            return number
    return count


def test_the_pictures_of_a_request_share_a_budget() -> None:
    large = scene(1600, 1200)
    assert decoded_together(encoded(large, "PNG")) == 4
    assert decoded_together(encoded(large, "JPEG", progressive=True)) == 4  # kept as a whole while its scans are read
    assert decoded_together(encoded(scene(800, 600), "PNG")) == 16


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"])
def test_photos_count_as_they_are_decoded(exif: bytes) -> None:
    """At an eighth of each side, as the model needs no more."""
    assert decoded_together(encoded(scene(1600, 1200), "JPEG", exif=exif), 250) == 250


@pytest.mark.parametrize("side", [7_100, 9_600, 20_000])  # over our limit, over Pillow's warning, over its error
def test_a_header_that_claims_too_many_pixels(side: int) -> None:
    data = bytearray(encoded(scene(), "BMP"))
    data[18:26] = side.to_bytes(4, "little") * 2
    assert refused(bytes(data)) is errors.PictureTooLarge


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_file_cut_anywhere_is_broken_or_whole(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    data = encoded(noise, kind)
    for end in range(1, len(data), 7):
        try:
            to_tensor(data[:end], HOW, LIMITS)
        except errors.PictureError:
            continue
        assert end > len(data) * 0.9, f"{kind} cut at {end} of {len(data)} passed as whole"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@hypothesis_settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_file_is_a_picture_error_or_a_picture(kind: str, flips: list[tuple[int, int]]) -> None:
    data = bytearray(encoded(scene(48, 48), kind))
    for position, value in flips:
        data[position % min(len(data), 400)] = value
    with contextlib.suppress(errors.PictureError):
        assert to_tensor(bytes(data), HOW, Limits(max_pixels=1_000_000)).shape == (32, 32, 3)


def test_nearest_takes_pixels_of_the_picture_and_no_averages_of_them() -> None:
    """As keras.utils.load_img does, whose default it is."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8))
    file = io.BytesIO()
    noise.save(file, "JPEG", quality=95)
    how = Preprocessing(64, 64, method="nearest", range="0..255")
    whole = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
    found = to_tensor(file.getvalue(), how, Limits())
    wanted = np.asarray(whole.resize((64, 64), Image.Resampling.NEAREST), np.float32)
    assert np.abs(found - wanted).max() <= 8  # two builds of libjpeg
