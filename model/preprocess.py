"""Picture bytes -> tensor, exactly as the bundle declares. Pictures are taken to be hostile.

Order matters here: the format is told by content, the size is read from the header and checked, and only then
are pixels decoded. JPEGs are decoded at the smallest DCT scale that still covers the model's input, which is
several times cheaper than decoding every pixel.
"""

from __future__ import annotations

import functools
import io
import math
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from . import errors, gif, grey, jpeg, png, signatures, strips, tiff, webp

# Importing the plugins registers them; naming them keeps Pillow from loading all its others at the first request.
_PLUGINS = (
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

_DECODED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
ACCEPTED = "JPEG, PNG, WebP, GIF, BMP or TIFF"

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_FITS = ("stretch", "crop", "pad")
_COLOURS = {"rgb": 3, "bgr": 3, "grey": 1}
_DTYPES = ("float32", "uint8")
_LAYOUTS = ("channels_last", "channels_first", "no_channels")
# By name: what is taken from 0..255, and what the rest is multiplied by; a number, or one a channel.
_Channels = float | tuple[float, ...]
_RANGES: dict[str, tuple[_Channels, _Channels]] = {
    "0..255": (0.0, 1.0),
    "0..1": (0.0, 1 / 255),
    "-1..1": (127.5, 1 / 127.5),
    "caffe": ((123.68, 116.779, 103.939), 1.0),  # ImageNet's mean, of red, green and blue
    "torch": ((123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375)),
}

_ORIENTATION = 0x0112
# By its value; 1 is upright. Pillow's own exif_transpose turns a picture only where it can write all its tags back.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Of a progressive JPEG. Encoders make some ten; libjpeg-turbo advises a limit.
_MOST_SCANS = 100
_FULL_SIZE_SCANS = 20  # where it has as many pixels as are allowed
_LARGEST_TOGETHER = 4  # in one request
_WHOLE = (65535, 65535)  # no JPEG is larger
# What Pillow's decoders raise on damaged files, as seen by fuzzing them.
_DECODE_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    Image.DecompressionBombError,
)


class Limits(NamedTuple):
    """Bounds on a picture, checked before decoding: pixels in all, and pixels of the shorter side."""

    max_pixels: int = 50_000_000
    min_side: int = 8


class Budget:
    """How many pixels are still decoded for one request: as many as four of the largest pictures have."""

    def __init__(self, limits: Limits) -> None:
        self._whole = self._left = _LARGEST_TOGETHER * limits.max_pixels

    def spend(self, pixels: int) -> None:
        """Raises PictureTooLarge where not as many are left."""
        self._left -= pixels
        if self._left < 0:
            raise errors.PictureTooLarge(
                f"With this one the pictures have too many pixels together; {self._whole:,} are decoded at most, of "
                "baseline JPEGs no more than the model needs. Send fewer at a time, or scale them down."
            )


class Preprocessing(NamedTuple):
    """What is done to a picture before the model sees it. Part of the bundle, so that a client can read it.

    height, width: the model's input in pixels.
    method: resize filter (nearest, bilinear, bicubic, lanczos); all but nearest are antialiased.
    fit: "stretch" squashes the whole picture to the input; "crop" keeps its aspect and cuts the centre; "pad" keeps
    its aspect and adds black bars.
    colour: the order of the channels, "rgb" or "bgr"; "grey" makes one of them.
    range: how 0..255 is mapped: "0..255", "0..1", "-1..1", "caffe" (less ImageNet's mean), "torch" (less ImageNet's
    mean, through its deviation), or "mean" for (value - mean) * scale.
    mean, scale: numbers for 0..255, one for all channels or one for each, in the order of `colour`.
    dtype: "float32", or "uint8" where the range is 0..255.
    layout: "channels_last", (height, width, channels), "channels_first", or, of grey, "no_channels", (height, width).
    """

    height: int
    width: int
    method: str = "bilinear"
    fit: str = "stretch"
    colour: str = "rgb"
    range: str = "-1..1"
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    dtype: str = "float32"
    layout: str = "channels_last"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one picture's tensor."""
        channels = _COLOURS[self.colour]
        size = (self.height, self.width)
        if self.layout == "no_channels":
            return size
        return (channels, *size) if self.layout == "channels_first" else (*size, channels)

    def to_json(self) -> dict[str, Any]:
        """The form kept in bundle.json; mean and scale only where they are used."""
        given = {key: value for key, value in self._asdict().items() if value}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Preprocessing:
        """Read the form kept in bundle.json. Raises BundleError naming every problem at once."""
        known, defaults = cls._fields, cls._field_defaults
        problems = [f"unknown key {key!r}" for key in data if key not in known]
        values = {key: value for key, value in data.items() if key in known}
        for side in ("height", "width"):
            if not isinstance(values.get(side), int) or not 1 <= values[side] <= 4096:
                problems.append(f"{side} must be an integer from 1 to 4096")
        choices = {
            "method": _RESAMPLING,
            "fit": _FITS,
            "range": (*_RANGES, "mean"),
            "colour": _COLOURS,
            "dtype": _DTYPES,
            "layout": _LAYOUTS,
        }
        for key, allowed in choices.items():
            if values.get(key, defaults[key]) not in allowed:
                problems.append(f"{key} must be one of {', '.join(allowed)}")
        problems = problems or _range_problems(values)
        if problems:
            raise errors.BundleError("preprocessing: " + "; ".join(problems))
        values.update({key: tuple(map(float, values[key])) for key in ("mean", "scale") if key in values})
        return cls(**values)


def _range_problems(values: dict[str, Any]) -> list[str]:
    """What is wrong with range, mean, scale, colour and dtype together; each alone is right."""
    chosen, colour = values.get("range", "-1..1"), values.get("colour", "rgb")
    problems = []
    for key in ("mean", "scale"):
        numbers = values.get(key, ())
        if chosen == "mean" and not _are_numbers(numbers, _COLOURS[colour]):
            problems.append(f"{key} must be a list of 1 number, or of {_COLOURS[colour]}, one a channel")
        if chosen != "mean" and numbers:
            problems.append(f"{key} needs range mean, not {chosen}")
    if colour == "grey" and chosen in ("caffe", "torch"):
        problems.append(f"range {chosen} is of three colours, and colour is grey")
    if values.get("layout") == "no_channels" and colour != "grey":
        problems.append(f"layout no_channels needs colour grey, not {colour}")
    if values.get("dtype", "float32") == "uint8" and chosen != "0..255":
        problems.append("dtype uint8 needs range 0..255")
    return problems


def _are_numbers(values: Any, channels: int) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) in (1, channels)
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )


def to_tensor(data: bytes, how: Preprocessing, limits: Limits, budget: Budget | None = None) -> np.ndarray:
    """Decode one picture to a tensor of `how.shape` and `how.dtype`, ready for the model.

    budget: what it shares with the other pictures of a request.
    Raises a PictureError that says what is wrong with the bytes.
    """
    # A JPEG at a smaller scale holds averages: no nearest pixel is there any more.
    wanted = _WHOLE if how.method == "nearest" else (how.width, how.height)
    return from_picture(_fit(decode(data, wanted, limits, budget), how), how)


def from_picture(picture: Image.Image, how: Preprocessing) -> np.ndarray:
    """An RGB picture that has the model's size already -> its tensor."""
    if how.colour == "grey":
        picture = picture.convert("L")
    pixels = np.asarray(picture)
    pixels = pixels.reshape(how.height, how.width, -1)
    if how.colour == "bgr":
        pixels = pixels[:, :, ::-1]
    tensor = _in_range(pixels, how)
    if how.layout == "no_channels":
        return tensor[:, :, 0]
    return np.ascontiguousarray(tensor.transpose(2, 0, 1)) if how.layout == "channels_first" else tensor


def _in_range(pixels: np.ndarray, how: Preprocessing) -> np.ndarray:
    """uint8 (height, width, channels) -> the declared range and dtype."""
    if how.dtype == "uint8":
        return pixels.copy()
    mean, scale = _mean_and_scale(how)
    tensor: np.ndarray = np.multiply(pixels, scale, dtype=np.float32)
    if mean.any():
        tensor -= mean * scale
    return tensor


@functools.lru_cache(maxsize=16)
def _mean_and_scale(how: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """float32, a number or one a channel in the order of `colour`."""
    if how.range == "mean":
        return np.asarray(how.mean, np.float32), np.asarray(how.scale, np.float32)
    mean, scale = (np.asarray(values, np.float32) for values in _RANGES[how.range])
    if how.colour == "bgr":
        return mean[::-1] if mean.ndim else mean, scale[::-1] if scale.ndim else scale
    return mean, scale


def decode(data: bytes, wanted: tuple[int, int], limits: Limits, budget: Budget | None = None) -> Image.Image:
    """Decode the first frame, upright, as RGB; transparent parts show white.

    wanted: (width, height) that the caller is going to resize to; a JPEG may come back smaller than it is, but
    not below that.
    Raises EmptyPicture, NotAPicture, UnsupportedPicture, BrokenPicture, PictureTooSmall or PictureTooLarge.
    """
    try:
        return _decode(data, wanted, limits, budget or Budget(limits))
    except MemoryError as fault:  # there is none, or a damaged file asks for too much
        raise errors.PictureTooLarge("To decode the picture takes more memory than there is. Scale it down.") from fault


def _decode(data: bytes, wanted: tuple[int, int], limits: Limits, budget: Budget) -> Image.Image:
    found, scans = jpeg.header(data)
    if found is not None:
        _check_size(found, limits)
        _check_scans(scans, found, limits)
        budget.spend(math.prod(found) // (jpeg.parts(found, wanted) ** 2 if scans == 1 else 1))
        if (quick := jpeg.decode(data, found, wanted)) is not None:
            return quick
    picture = _open(data)
    _check_size(picture.size, limits)
    _check_scans(scans, picture.size, limits)
    whole = math.prod(picture.size)
    _draft(picture, wanted)
    budget.spend(math.prod(picture.size) if scans == 1 else whole)
    try:
        return _finished(picture, data)
    except errors.BrokenPicture:
        if (ended := jpeg.with_end(data)) is None:
            raise
        picture = _open(ended)  # the same but for its end: what was checked holds for it
        _draft(picture, wanted)
        return _finished(picture, ended)


def _draft(picture: Image.Image, wanted: tuple[int, int]) -> None:
    """Have a JPEG decoded at the smallest scale that covers what is wanted."""
    if picture.format in ("JPEG", "MPO"):
        longest = max(wanted)
        picture.draft(None, (longest, longest))


def _finished(picture: Image.Image, data: bytes) -> Image.Image:
    """Opened -> decoded, upright, as RGB."""
    try:
        picture, orientation = _load(picture, data)
        picture = _to_rgb(picture)  # the one before is let go of
        turn = _TURNS.get(orientation)
        return picture if turn is None else picture.transpose(turn)
    except _DECODE_FAULTS as fault:
        raise errors.BrokenPicture(
            "The picture ends early or is damaged. Check that the whole file was sent, or save it again and retry."
        ) from fault


def _open(data: bytes) -> Image.Image:
    if not data:
        raise errors.EmptyPicture("The picture is empty (0 bytes). Send the file's content.")
    kind = signatures.picture_format(data)
    if kind is None:
        what = signatures.advice(data)
        raise errors.NotAPicture(f"The data is not a picture. {f'{what} ' if what else ''}Send a {ACCEPTED} file.")
    if kind not in _DECODED:
        raise errors.UnsupportedPicture(f"{kind} pictures are not supported. Convert to {ACCEPTED}.")
    try:
        return Image.open(io.BytesIO(png.essential(data) if kind == "PNG" else data), formats=(kind,))
    except Image.DecompressionBombError as fault:
        raise errors.PictureTooLarge("The picture has far too many pixels. Scale it down.") from fault
    except _DECODE_FAULTS as fault:
        if kind == "TIFF" and tiff.is_of_unknown_mode(data):
            raise errors.UnsupportedPicture(
                "The TIFF has channels or bits that are not read together. Save it as PNG, or as RGB or grey of 8 bits."
            ) from fault
        raise errors.BrokenPicture(
            f"The {kind} file is damaged, cut off, or of a variant that is not supported. Save it again and retry."
        ) from fault


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise errors.PictureTooLarge(
            f"The picture has {width} x {height} pixels; at most {limits.max_pixels:,} are taken. Scale it down."
        )
    if min(width, height) < limits.min_side:
        raise errors.PictureTooSmall(
            f"The picture has {width} x {height} pixels; each side must have {limits.min_side} at least."
        )


def _check_scans(scans: int, size: tuple[int, int], limits: Limits) -> None:
    """Each scan of a progressive JPEG is a pass over all its pixels, and takes no more than ten bytes of the file."""
    width, height = size
    allowed = min(_MOST_SCANS, _FULL_SIZE_SCANS * limits.max_pixels // (width * height))
    if scans > allowed:
        raise errors.PictureTooLarge(
            f"The JPEG has {scans:,} scans of {width} x {height} pixels; at most {allowed} are taken. Save it again as "
            "a baseline JPEG, which has one."
        )


def _load(picture: Image.Image, data: bytes) -> tuple[Image.Image, int]:
    """(the picture with its pixels as the file has them, its EXIF orientation)"""
    if isinstance(picture, WebPImagePlugin.WebPImageFile):
        return webp.first_frame(picture, data), _orientation(picture)
    if isinstance(picture, GifImagePlugin.GifImageFile):
        return gif.first_frame(picture), 1
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        orientation = tiff.set_right(picture)
        picture.load()
        return picture, orientation
    if isinstance(picture, PngImagePlugin.PngImageFile):
        png.set_right(picture, data)
    picture.load()
    return picture, _orientation(picture)


def _orientation(picture: Image.Image) -> int:
    """As the EXIF tags say. Most files have none, and then they are not parsed at all."""
    info = picture.info
    if not ("exif" in info or "xmp" in info or "XML:com.adobe.xmp" in info):
        return 1
    try:
        orientation: int = picture.getexif().get(_ORIENTATION, 1)
    except _DECODE_FAULTS:  # a damaged tag block says nothing about the pixels
        return 1
    return orientation


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if grey.is_wide(picture):
        picture = grey.to_8_bits(picture)
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        return _on_white(picture)
    return picture.convert("RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    """In strips: of the whole picture it would take the memory of four more like it, in strips that of one."""
    result = Image.new("RGB", picture.size)
    for box in strips.boxes(picture.size):
        strip = picture.crop(box).convert("RGBA")
        white = Image.new("RGBA", strip.size, "white")
        result.paste(Image.alpha_composite(white, strip).convert("RGB"), box)
    return result


def _fit(picture: Image.Image, how: Preprocessing) -> Image.Image:
    size = (how.width, how.height)
    if how.fit == "pad":
        return ImageOps.pad(picture, size, _RESAMPLING[how.method])
    if how.fit == "crop":
        return ImageOps.fit(picture, size, _RESAMPLING[how.method])
    return picture if picture.size == size else picture.resize(size, _RESAMPLING[how.method])
