"""The quick decoder gives what Pillow gives, and leaves to it what is not ordinary."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model import jpeg
from model.errors import BrokenPicture, PictureTooLarge
from model.preprocess import Budget, Limits, decode
from tests.pictures import jpeg_of_scans, jpeg_of_separate_colours, jpeg_of_tall_samples, tags

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
    found, scans = jpeg.header(data)
    assert found == (500, 375)
    assert scans == (1 if "progressive" not in how else 6 if mode == "L" else 10)
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
        assert jpeg.header(data).size is None


def test_what_the_quick_decoder_does_not_know_is_pillows() -> None:
    cat = Image.open(io.BytesIO(CAT))
    data = jpeg_of_tall_samples(cat)
    assert jpeg.header(data) == (None, 3)
    shown = decode(data, cat.size, Limits())
    assert np.abs(np.asarray(shown).astype(int) - np.asarray(cat)).mean() < 6


@pytest.mark.parametrize("fault", [KeyError, RuntimeError, OverflowError])
@pytest.mark.parametrize("name", ["decode_jpeg_header", "decode_jpeg"])
def test_whatever_the_quick_decoder_raises(name: str, fault: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault(6)

    monkeypatch.setattr(jpeg.simplejpeg, name, fail)
    assert decode(CAT, (500, 375), Limits()).size == (500, 375)


@pytest.mark.parametrize("name", ["decode_jpeg_header", "decode_jpeg"])
def test_no_memory_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(jpeg.simplejpeg, name, fail)
    with pytest.raises(PictureTooLarge, match="memory"):
        decode(CAT, (500, 375), Limits())


@pytest.mark.parametrize("end", [len(CAT) // 2, len(CAT) - 40])
def test_a_cut_file_is_broken(end: int) -> None:
    found, _ = jpeg.header(CAT[:end])
    assert found is not None
    assert jpeg.decode(CAT[:end], found, (128, 128)) is None
    with pytest.raises(BrokenPicture):
        decode(CAT[:end], (128, 128), Limits())


@pytest.mark.parametrize("how", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"exif": tags(6)}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("missing", [1, 2])
def test_only_the_last_marker_is_missing(missing: int, mode: str, how: dict[str, object]) -> None:
    data = encoded(Image.open(io.BytesIO(CAT)).convert(mode), **how)
    shown, meant = (decode(each, (500, 500), Limits()) for each in (data[:-missing], data))
    assert shown.tobytes() == meant.tobytes()


@pytest.mark.parametrize("how", [{}, {"restart_marker_rows": 1}, {"exif": tags(6)}, {"progressive": True}])
def test_more_than_the_last_marker_is_missing(how: dict[str, object]) -> None:
    data = encoded(Image.open(io.BytesIO(CAT)), **how)
    for missing in (*range(4, 40), *range(40, len(data) // 2, 997)):
        with pytest.raises(BrokenPicture):
            decode(data[:-missing], (500, 500), Limits())


def test_of_several_scans_the_last_may_be_missing() -> None:
    data = encoded(Image.open(io.BytesIO(CAT)), progressive=True)
    for end in (len(data) - 2, data.rindex(b"\xff\xda\x00")):
        with pytest.raises(BrokenPicture):
            decode(data[:end], (500, 500), Limits())


@pytest.mark.parametrize("how", [{}, {"exif": tags(6)}])
@pytest.mark.parametrize("missing", [0, 2])
def test_the_limits_hold_before_anything_is_decoded(
    missing: int, how: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg.simplejpeg, "decode_jpeg", lambda *_, **__: pytest.fail("it was decoded"))
    data = encoded(Image.open(io.BytesIO(CAT)), **how)
    with pytest.raises(PictureTooLarge):
        decode(data[: len(data) - missing], (128, 128), Limits(max_pixels=1000))


@pytest.mark.parametrize("missing", [0, 2])
def test_what_pillow_does_not_open_is_not_decoded(missing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has looked at its size. libjpeg would take it: a JFIF segment that is too short is nothing to it."""
    data = encoded(Image.new("RGB", (4000, 4000)), exif=tags(6))
    jfif = data.index(b"\xff\xe0")
    rest = jfif + 2 + int.from_bytes(data[jfif + 2 : jfif + 4])
    data = data[:jfif] + b"\xff\xe0\x00\x07JFIF\x00" + data[rest : len(data) - missing]
    assert jpeg.simplejpeg.decode_jpeg_header(data)[:2] == (4000, 4000)
    monkeypatch.setattr(jpeg.simplejpeg, "decode_jpeg", lambda *_, **__: pytest.fail("it was decoded"))
    with pytest.raises(BrokenPicture):
        decode(data, (128, 128), Limits(max_pixels=1000))


@pytest.mark.parametrize(("how", "times"), [({}, 2), ({"exif": tags(6)}, 1)])  # with tags it is Pillow's from the start
def test_what_lacks_its_end_is_not_charged_anew(how: dict[str, object], times: int) -> None:
    cat = Image.open(io.BytesIO(CAT))
    limits = Limits(max_pixels=cat.width * cat.height)
    budget, data = Budget(limits), encoded(cat, **how)[:-2]
    for _ in range(4 // times):
        decode(data, cat.size, limits, budget)
    with pytest.raises(PictureTooLarge, match="together"):
        decode(data, cat.size, limits, budget)


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"])  # with tags it is Pillow's
def test_a_picture_takes_few_passes(exif: bytes) -> None:
    """Each scan of a progressive JPEG is a pass over all its pixels, and costs ten bytes."""
    cat = Image.open(io.BytesIO(CAT))
    assert decode(jpeg_of_scans(cat, 100, exif=exif), (128, 128), Limits()).mode == "RGB"
    with pytest.raises(PictureTooLarge, match="101 scans of 500 x 375 pixels; at most 100"):
        decode(jpeg_of_scans(cat, 101, exif=exif), (128, 128), Limits())


def test_a_large_picture_takes_fewer_passes() -> None:
    cat, limits = Image.open(io.BytesIO(CAT)), Limits(max_pixels=500 * 375)
    assert decode(jpeg_of_scans(cat, 20), (128, 128), limits).mode == "RGB"
    with pytest.raises(PictureTooLarge, match="21 scans of 500 x 375 pixels; at most 20"):
        decode(jpeg_of_scans(cat, 21), (128, 128), limits)


def test_a_sequential_file_of_many_scans_is_found() -> None:
    cat = Image.open(io.BytesIO(CAT))
    assert jpeg.header(jpeg_of_separate_colours(cat, 3)).scans == 3
    with pytest.raises(PictureTooLarge):
        decode(jpeg_of_separate_colours(cat, 101), (128, 128), Limits())
    assert jpeg.header(jpeg_of_separate_colours(cat.convert("L"), 101)).scans == 1  # libjpeg reads no more


def test_what_follows_the_picture_is_no_scan() -> None:
    """Telephones append videos and further pictures."""
    more = b"\xff\xda" * 1000 + CAT * 50
    for data in (CAT, jpeg_of_scans(Image.open(io.BytesIO(CAT)), 10)):
        assert decode(data + more, (128, 128), Limits()).mode == "RGB"


def test_scans_of_pictures_behind_the_first_do_not_count() -> None:
    """Telephones append previews."""
    cat = Image.open(io.BytesIO(CAT))
    data = jpeg_of_scans(cat, 10)
    assert jpeg.header(data * 4).scans == 10
    assert decode(data * 4, (128, 128), Limits(max_pixels=500 * 375)).mode == "RGB"


@pytest.mark.parametrize(
    "hidden",
    [b"", b"\xff\xfe\0\x04\xff\xd9", b"\xff\xd0", b"\xff\xff", b"\xff\x01", b"\0\xff\0", b"\xff\xfe\0\x02" * 20000],
)
def test_no_scan_of_the_first_picture_is_hidden(hidden: bytes) -> None:
    data = jpeg_of_scans(Image.open(io.BytesIO(CAT)), 101)
    last = data.rindex(b"\xff\xda\x00")
    for place in (20, last, data.rindex(b"\xff\xda\x00", 0, last)):  # behind JFIF's segment, and between scans
        assert jpeg.header(data[:place] + hidden + data[place:] + data).scans in (101, 202)


def test_garbage_before_the_picture_hides_no_scans() -> None:
    data = jpeg_of_scans(Image.open(io.BytesIO(CAT)), 101)
    for garbage in (b"\x00", b"\xff\x00", b"\xff\xff", b"\xff\xd0", b"\xff\xfe\x00\x00", b"\xff\xfe\x00\x02"):
        with pytest.raises((PictureTooLarge, BrokenPicture)):
            decode(data[:20] + garbage + data[20:], (128, 128), Limits())  # behind JFIF's segment
