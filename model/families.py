"""Preprocessing by name: of the families of keras.applications, and what a user writes on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import BundleError
from .preprocess import Preprocessing

_CAFFE = {"colour": "bgr", "range": "caffe"}
_TORCH = {"range": "torch"}
_MINUS_ONE = {"range": "-1..1"}
_PLAIN = {"range": "0..255"}  # the model holds its own rescaling

# As each family's preprocess_input in keras.applications does it. Their weights were trained on squashed or cropped
# pictures alike; bilinear is what keras.utils.load_img leads most users to.
FAMILIES: dict[str, dict[str, str]] = {
    "convnext": _PLAIN,
    "densenet": _TORCH,
    "efficientnet": _PLAIN,
    "efficientnetv2": _PLAIN,
    "inceptionresnetv2": _MINUS_ONE,
    "inceptionv3": _MINUS_ONE,
    "mobilenet": _MINUS_ONE,
    "mobilenetv2": _MINUS_ONE,
    "mobilenetv3": _PLAIN,
    "nasnet": _MINUS_ONE,
    "resnet": _CAFFE,
    "resnet50": _CAFFE,
    "resnetv2": _MINUS_ONE,
    "resnet50v2": _MINUS_ONE,
    "resnet101v2": _MINUS_ONE,
    "resnet152v2": _MINUS_ONE,
    "vgg": _CAFFE,
    "xception": _MINUS_ONE,
}
_RANGES = ("0..255", "0..1", "-1..1", "caffe", "torch")


def of_application(name: str) -> dict[str, str]:
    """What a model of keras.applications was trained with; the longest family name that its name begins with."""
    name = name.lower()
    found = [family for family in FAMILIES if name.startswith(family)]
    return FAMILIES[max(found, key=len)] if found else {}


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


def complete(values: dict[str, Any], shape: tuple[int | None, ...]) -> Preprocessing:
    """With what the model's input tells: size, layout, and whether it takes grey pictures.

    shape: of the input, with the batch. Raises BundleError when both do not fit together.
    """
    if len(shape) != 4:
        raise BundleError(f"Preprocessing is for pictures, and the model's input has the shape {list(shape)}.")
    first = shape[1] in (1, 3) and shape[3] not in (1, 3)
    height, width, channels = (shape[2], shape[3], shape[1]) if first else shape[1:]
    guessed: dict[str, Any] = {"height": height, "width": width}
    if first:
        guessed["layout"] = "channels_first"
    if channels == 1:
        guessed["colour"] = "grey"
    merged = {**{key: value for key, value in guessed.items() if value is not None}, **values}
    if "height" not in merged:
        raise BundleError("The model takes pictures of any size. Choose one: --preprocess ...,size=224x224")
    how = Preprocessing.from_json(merged)
    if any(size not in (None, wanted) for size, wanted in zip(shape[1:], how.shape, strict=True)):
        raise BundleError(f"The preprocessing makes {list(how.shape)} of a picture; the model takes {list(shape[1:])}.")
    return how


def _preset(word: str, problems: list[str]) -> dict[str, Any]:
    if word in _RANGES:
        return {"range": word, **({"colour": "bgr"} if word == "caffe" else {})}
    found = FAMILIES.get(word.lower()) or of_application(word)
    if not found:
        problems.append(f"{word!r} is no family or range; known are {', '.join((*FAMILIES, *_RANGES))}")
    return dict(found)


def _key(key: str, value: str) -> dict[str, Any]:
    if key == "size":
        height, _, width = value.partition("x")
        return {"height": int(height), "width": int(width or height)}
    if key in ("height", "width"):
        return {key: int(value)}
    if key in ("mean", "scale"):
        return {key: [float(number) for number in value.split("/")]}
    if key not in Preprocessing.__dataclass_fields__:
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
