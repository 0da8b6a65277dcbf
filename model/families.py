"""Preprocessing by name: of the families of keras.applications, and what a user writes on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .errors import BundleError
from .preprocess import Preprocessing

_CAFFE = {"colour": "bgr", "range": "caffe"}
_TORCH = {"range": "torch"}
_MINUS_ONE = {"range": "-1..1"}
_PLAIN = {"range": "0..255"}  # the model holds its own rescaling

# As each module of keras.applications does in its preprocess_input, and the models that it holds. Their weights were
# trained on squashed or cropped pictures alike; bilinear is what keras.utils.load_img leads most users to.
_MODULES: dict[str, tuple[dict[str, str], str]] = {
    "convnext": (_PLAIN, "ConvNeXtTiny ConvNeXtSmall ConvNeXtBase ConvNeXtLarge ConvNeXtXLarge"),
    "densenet": (_TORCH, "DenseNet121 DenseNet169 DenseNet201"),
    "efficientnet": (_PLAIN, " ".join(f"EfficientNetB{size}" for size in range(8))),
    "efficientnet_v2": (_PLAIN, " ".join(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", *"SML"))),
    "inception_resnet_v2": (_MINUS_ONE, "InceptionResNetV2"),
    "inception_v3": (_MINUS_ONE, "InceptionV3"),
    "mobilenet": (_MINUS_ONE, "MobileNet"),
    "mobilenet_v2": (_MINUS_ONE, "MobileNetV2"),
    "mobilenet_v3": (_PLAIN, "MobileNetV3Small MobileNetV3Large"),
    "nasnet": (_MINUS_ONE, "NASNetMobile NASNetLarge"),
    "resnet": (_CAFFE, "ResNet50 ResNet101 ResNet152"),
    "resnet_v2": (_MINUS_ONE, "ResNet50V2 ResNet101V2 ResNet152V2"),
    "vgg16": (_CAFFE, "VGG16"),
    "vgg19": (_CAFFE, "VGG19"),
    "xception": (_MINUS_ONE, "Xception"),
}
_RANGES = ("0..255", "0..1", "-1..1", "caffe", "torch")
_VARIANT = re.compile(r"_\d\.\d+_\w+$")  # of width and size, as in "mobilenetv2_1.00_224"


def _plain(name: str) -> str:
    """As names are compared: resnet_v2, ResNet-V2 and resnetv2 are one."""
    return name.lower().replace("_", "").replace("-", "")


_FAMILY_OF = {
    _plain(name): family for family, (_, models) in _MODULES.items() for name in (family, *models.split())
} | {"vgg": "vgg16"}


def of_application(name: str) -> dict[str, str]:
    """What a module or model of keras.applications was trained with; nothing for any other name."""
    family = _FAMILY_OF.get(_plain(name))
    return _MODULES[family][0] if family else {}


def named_after(name: str) -> str:
    """The family that a model was of when keras.applications named it, as "mobilenetv2_1.00_224"; "" for no family."""
    return _FAMILY_OF.get(_plain(_VARIANT.sub("", name)), "")


def parse(spec: str) -> dict[str, Any]:
    """A user's words -> keys of Preprocessing, the size left out where it was not given.

    spec: a family or a range, and changes to it, as in "mobilenet", "0..1", "resnet50,fit=crop,method=bicubic",
    "size=96x128,mean=10/20/30,scale=0.01" (size is height x width), or the name of a JSON file with those keys.
    Raises BundleError naming every problem at once.
    """
    if spec.endswith(".json"):
        return _from_file(Path(spec))
    values: dict[str, Any] = {}
    problems: list[str] = []
    for word in filter(None, (part.strip() for part in spec.split(","))):
        key, equals, value = word.partition("=")
        if not equals:
            values.update(_preset(word, problems))
            continue
        try:
            values.update(_key(key, value))
        except ValueError:
            problems.append(f"{word!r} is not understood")
    if ("mean" in values or "scale" in values) and "range" not in values:
        values = {"range": "mean", "mean": [0.0], "scale": [1.0], **values}
    if problems:
        raise BundleError("--preprocess: " + "; ".join(problems))
    return values


def looks_like_pictures(shape: tuple[int | None, ...], dtype: str) -> bool:
    """Whether an input of this shape, with the batch, and dtype may take what `complete` can make of a picture."""
    return len(shape) == 4 and (shape[3] in (1, 3) or shape[1] in (1, 3)) and dtype in ("float32", "uint8")


def complete(values: dict[str, Any], shape: tuple[int | None, ...], dtype: str = "float32") -> Preprocessing:
    """With what the model's input tells: size, layout, dtype, and whether it takes grey pictures.

    shape: of the input, with the batch; (batch, height, width) is of grey pictures. dtype: of the input.
    Raises BundleError when they do not fit together.
    """
    if dtype not in ("float32", "uint8"):
        raise BundleError(
            f"--preprocess makes float32 or uint8 of a picture, and the model's input is {dtype}. Put one of float32 "
            f'before it: x = keras.Input({shape[1:]}); keras.Model(x, model(keras.ops.cast(x, "{dtype}"))).'
        )
    if len(shape) == 3:
        shape = (*shape, 1)
        values = {"layout": "no_channels", **values}
    if len(shape) != 4:
        raise BundleError(f"Preprocessing is for pictures, and the model's input has the shape {list(shape)}.")
    first = shape[1] in (1, 3) and shape[3] not in (1, 3)
    height, width, channels = (shape[2], shape[3], shape[1]) if first else shape[1:]
    guessed: dict[str, Any] = {"height": height, "width": width}
    if first:
        guessed["layout"] = "channels_first"
    if channels == 1:
        guessed["colour"] = "grey"
    if dtype == "uint8" and values.get("range") == "0..255":
        guessed["dtype"] = dtype
    merged = {**{key: value for key, value in guessed.items() if value is not None}, **values}
    if "height" not in merged:
        raise BundleError("The model takes pictures of any size. Choose one: --preprocess ...,size=224x224")
    how = Preprocessing.from_json(merged)
    takes = shape[1 : 1 + len(how.shape)]
    if any(size not in (None, wanted) for size, wanted in zip(takes, how.shape, strict=True)):
        raise BundleError(f"The preprocessing makes {list(how.shape)} of a picture; the model takes {list(takes)}.")
    if how.dtype != dtype:
        do = "--preprocess 0..255 makes that" if dtype == "uint8" else "Leave dtype out"
        raise BundleError(f"The preprocessing makes {how.dtype} of a picture; the model takes {dtype}. {do}.")
    return how


def _preset(word: str, problems: list[str]) -> dict[str, Any]:
    if word in _RANGES:
        return {"range": word, **({"colour": "bgr"} if word == "caffe" else {})}
    found = of_application(word)
    if not found:
        known = ", ".join((*_MODULES, *_RANGES))
        problems.append(f"{word!r} is no family or range; known are {known}, and the models' names, as in ResNet50V2")
    return dict(found)


def _key(key: str, value: str) -> dict[str, Any]:
    if key == "size":
        height, _, width = value.partition("x")
        return {"height": int(height), "width": int(width or height)}
    if key in ("height", "width"):
        return {key: int(value)}
    if key in ("mean", "scale"):
        return {key: [float(number) for number in value.split("/")]}
    if key not in Preprocessing._fields:
        raise ValueError(key)
    return {key: value}


def _from_file(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as fault:
        raise BundleError(f"--preprocess: {path} cannot be read: {fault}") from fault
    if not isinstance(values, dict):
        raise BundleError(f"--preprocess: {path} holds no JSON object.")
    return values
