"""What users say of pictures, and what the bundle then declares."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model import families
from model.errors import BundleError
from model.preprocess import Preprocessing, from_picture

pytestmark = pytest.mark.unit

SHAPE = (None, 4, 6, 3)


def declared(spec: str, shape: tuple[int | None, ...] = SHAPE, dtype: str = "float32") -> Preprocessing:
    return families.complete(families.parse(spec), shape, dtype)


def of_pixel(how: Preprocessing, colour: tuple[int, int, int]) -> np.ndarray:
    tensor = from_picture(Image.new("RGB", (how.width, how.height), colour), how)
    assert tensor.shape == how.shape
    assert tensor.dtype == how.dtype
    return tensor[:, 0, 0] if how.layout == "channels_first" else tensor[0, 0]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("mobilenet", [200 / 127.5 - 1, 100 / 127.5 - 1, -1]),
        ("MobileNetV3Small", [200, 100, 0]),
        ("efficientnet", [200, 100, 0]),
        ("resnet50", [0 - 103.939, 100 - 116.779, 200 - 123.68]),
        ("ResNet50V2", [200 / 127.5 - 1, 100 / 127.5 - 1, -1]),
        ("caffe,colour=rgb", [200 - 123.68, 100 - 116.779, 0 - 103.939]),
        ("densenet", [(200 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, -0.406 / 0.225]),
        ("torch,colour=bgr", [-0.406 / 0.225, (100 / 255 - 0.456) / 0.224, (200 / 255 - 0.485) / 0.229]),
        ("0..1,layout=channels_last", [200 / 255, 100 / 255, 0]),
        ("mean=10/20/30,scale=0.5", [95, 40, -15]),
        ("mean=100,colour=bgr", [-100, 0, 100]),
    ],
)
def test_a_spec_says_what_becomes_of_a_pixel(spec: str, expected: list[float]) -> None:
    assert of_pixel(declared(spec), (200, 100, 0)) == pytest.approx(expected, abs=1e-4)


def test_the_dtype_is_that_of_the_input() -> None:
    for spec in ("0..255", "0..255,dtype=uint8"):
        how = declared(spec, SHAPE, "uint8")
        assert how.dtype == "uint8"
        assert of_pixel(how, (200, 100, 0)).tolist() == [200, 100, 0]


@pytest.mark.parametrize(
    ("spec", "dtype", "message"),
    [
        ("0..1", "uint8", "makes float32 of a picture; the model takes uint8. --preprocess 0..255 makes that."),
        ("0..255,dtype=uint8", "float32", "makes uint8 of a picture; the model takes float32. Leave dtype out."),
        ("0..1", "float16", "the model's input is float16. Put one of float32 before it"),
        ("0..255", "int32", "the model's input is int32."),
    ],
)
def test_a_dtype_that_does_not_fit_is_refused(spec: str, dtype: str, message: str) -> None:
    with pytest.raises(BundleError) as caught:
        declared(spec, SHAPE, dtype)
    assert message in caught.value.message


def test_an_input_without_channels_takes_grey_pictures() -> None:
    how = declared("0..1", (None, 28, 30))
    assert (how.shape, how.colour) == ((28, 30), "grey")
    tensor = from_picture(Image.new("RGB", (30, 28), (255, 255, 255)), how)
    assert (tensor.shape, tensor.min()) == ((28, 30), 1)
    assert Preprocessing.from_json(how.to_json()) == how
    with pytest.raises(BundleError, match="no_channels needs colour grey, not rgb"):
        declared("0..1,colour=rgb", (None, 28, 30))


def test_what_looks_like_pictures() -> None:
    assert families.looks_like_pictures((None, None, None, 3), "float32")
    assert families.looks_like_pictures((None, 1, 28, 28), "uint8")
    assert not families.looks_like_pictures((None, 32, 32, 4), "float32")
    assert not families.looks_like_pictures((None, 28, 28), "float32")
    assert not families.looks_like_pictures(SHAPE, "float16")


def test_the_models_input_says_the_rest() -> None:
    assert declared("0..1", (None, 28, 28, 1)).colour == "grey"
    assert of_pixel(declared("0..1", (None, 28, 28, 1)), (255, 255, 255)) == pytest.approx([1])
    first = declared("0..1", (None, 3, 4, 6))
    assert (first.layout, first.height, first.width) == ("channels_first", 4, 6)
    assert of_pixel(first, (255, 0, 0)) == pytest.approx([1, 0, 0])
    assert declared("0..1,size=5x7", (None, None, None, 3)).shape == (5, 7, 3)


@pytest.mark.parametrize(
    ("spec", "shape", "messages"),
    [
        ("abacus,zoom=2,size=big", SHAPE, ["'abacus' is no family", "'zoom=2'", "'size=big'"]),
        ("0..1", (None, 10), ["is for pictures"]),
        ("0..1", (None, None, None, 3), ["of any size. Choose one"]),
        ("0..1,size=8", SHAPE, ["makes [8, 8, 3]", "takes [4, 6, 3]"]),
        ("0..1,colour=grey", SHAPE, ["makes [4, 6, 1]"]),
        ("caffe,colour=grey", (None, 4, 6, 1), ["three colours"]),
        ("mean=1/2", SHAPE, ["mean must be a list of 1 number, or of 3"]),
        ("0..1,mean=1", SHAPE, ["mean needs range mean"]),
        ("0..1,dtype=uint8", SHAPE, ["uint8 needs range 0..255"]),
        ("0..1,fit=bend,method=magic", SHAPE, ["method must be", "fit must be"]),
        ("nothing.json", SHAPE, ["cannot be read"]),
    ],
)
def test_what_does_not_fit_is_refused(spec: str, shape: tuple[int | None, ...], messages: list[str]) -> None:
    with pytest.raises(BundleError) as caught:
        declared(spec, shape)
    for message in messages:
        assert message in caught.value.message


def test_a_file_may_hold_it(tmp_path: Path) -> None:
    how = Preprocessing(4, 6, "bicubic", "pad", "bgr", "mean", (1.0,), (2.0,))
    file = tmp_path / "how.json"
    file.write_text(json.dumps(how.to_json()))
    assert declared(str(file)) == how


@pytest.mark.parametrize("name", ["resnet_v2", "resnet-v2", "ResNetV2", "resnet50_v2", "ResNet50V2", "RESNET_50_V2"])
def test_a_name_may_be_written_in_any_way(name: str) -> None:
    assert families.of_application(name) == {"range": "-1..1"}


@pytest.mark.parametrize("name", ["resnetrs50", "vggface", "MobileNetV4", "resnet50_v3", "imagenet_utils", "", "_"])
def test_a_name_that_only_begins_like_a_familys_is_none(name: str) -> None:
    assert families.of_application(name) == {}
    if name:
        with pytest.raises(BundleError, match=r"is no family or range; known are convnext, .*resnet_v2, .*torch"):
            families.parse(name)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("mobilenetv2_1.00_224", "mobilenet_v2"),
        ("mobilenet_0.25_128", "mobilenet"),
        ("MobileNetV3Small", "mobilenet_v3"),
        ("efficientnetv2-b0", "efficientnet_v2"),
        ("convnext_tiny", "convnext"),
        ("nasnet_mobile", "nasnet"),
        ("resnet50", "resnet"),
        ("functional_1", ""),
        ("resnet50_pets", ""),
    ],
)
def test_the_name_that_keras_gave_a_model_tells_its_family(name: str, family: str) -> None:
    assert families.named_after(name) == family


@pytest.mark.slow
def test_a_photo_becomes_what_keras_applications_make_of_it(photo_path: Path) -> None:
    """By the name of each module, and by that of each model in it."""
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    modules = {
        name: module
        for name, module in vars(keras.applications).items()
        if hasattr(module, "preprocess_input") and name != "imagenet_utils"
    }
    named = dict(modules)
    for name, model in vars(keras.applications).items():
        if name[0].isupper():
            named[name] = modules[model.__module__.rpartition(".")[2]]
    assert len(named) > 50
    with Image.open(photo_path) as photo:
        picture = photo.convert("RGB").resize((96, 64))
    for name, module in named.items():
        wanted = module.preprocess_input(np.array(picture, np.float32))
        found = from_picture(picture, declared(name, (None, 64, 96, 3)))
        assert np.abs(found - wanted).max() <= 1e-6, name
