"""What the form of a request costs: the same model asked with a picture, with base64, and with tensors in two forms.

MobileNetV2 at 224 px with random weights; its tensor is 600 KB of float32, and 3 MB as JSON, which holds the same
numbers as Triton's client writes them. Rounded to six digits, so that they are other numbers, that is half as long. The
way of a tensor alone shows with a model that takes the same one and does next to nothing with it. As a program: `STORE`
makes that one.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import servers, zoo
from .asking import Question, Series, faults, in_turns
from .figures import Goal, Spread, ratio
from .processes import running
from .servers import PHOTO

MODEL = "MobileNetV2"
SMALL = "mean"
FORMS = ("picture", "base64", "binary", "json", "rounded json", "binary, small model", "json, small model")
_DIGITS = 6
_CONNECTIONS = 8
_DECODED = 200  # times


@dataclass
class Findings:
    """All forms, and the milliseconds that decoding the picture takes."""

    forms: dict[str, Series]
    decode_ms: float

    def goals(self) -> list[Goal]:
        """What is wanted of it."""
        rate = {name: series.rate for name, series in self.forms.items()}
        cpu = {name: series.cpu for name, series in self.forms.items()}
        left = Spread(tuple(value - self.decode_ms for value in cpu["picture"].values))
        return [
            Goal("V2: binary tensor / JSON", ratio(rate["binary"], rate["json"]), 3, at_least=True, digits=1),
            Goal("the same, JSON rounded", ratio(rate["binary"], rate["rounded json"]), digits=1),
            Goal(
                "both to the small model",
                ratio(rate["binary, small model"], rate["json, small model"]),
                digits=1,
            ),
            Goal(
                "V2: CPU of a picture without decoding / binary tensor", ratio(left, cpu["binary"]), 0.8, at_least=True
            ),
            Goal(
                ":predict with base64 / the picture itself", ratio(rate["base64"], rate["picture"]), 0.9, at_least=True
            ),
            Goal("the same in CPU", ratio(cpu["picture"], cpu["base64"])),
        ]

    def faults(self) -> list[str]:
        """Why some of it must not be used."""
        return faults(self.forms)

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)


def measure(rounds: int, seconds: int, tell: Callable[[str], None]) -> Findings:
    """Build the model, serve it, and ask it in each form in turns."""
    with tempfile.TemporaryDirectory(prefix="kiln-dialects-") as name:
        folder = Path(name)
        tell(f"building {MODEL}")
        zoo.build(folder / "store", MODEL)
        with running([sys.executable, "-m", "loadtest.dialects", str(folder / "store")], {}) as program:
            if program.process.wait():
                program.check()
        tensor, decode_ms = _decoded(folder / "store" / MODEL / "1")
        questions = _questions(folder, tensor)
        tell(f"starting {MODEL}")
        with servers.kiln(store=folder / "store", model=MODEL, expected='"label"', patient=True) as server:
            return Findings(in_turns(server, questions, rounds, seconds, _CONNECTIONS, tell), decode_ms)


def _decoded(bundle: Path) -> tuple[np.ndarray, float]:
    """(the tensor of the photo, (1, 224, 224, 3) float32; milliseconds to make it)"""
    from model.bundle import read
    from model.preprocess import Limits, to_tensor

    how, photo, limits = read(bundle).preprocessing, PHOTO.read_bytes(), Limits()
    assert how is not None
    tensor = to_tensor(photo, how, limits)
    started = time.process_time()
    for _ in range(_DECODED):
        to_tensor(photo, how, limits)
    return tensor[np.newaxis], (time.process_time() - started) / _DECODED * 1e3


def _questions(folder: Path, tensor: np.ndarray) -> dict[str, Question]:
    from model.bundle import read

    raw = tensor.astype("<f4").tobytes()
    numbers = tensor.ravel().tolist()
    rounded = [round(value, _DIGITS) for value in numbers]

    def write(name: str, content: bytes) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    def described(model: str, **more: Any) -> bytes:
        name = read(folder / "store" / model / "1").inputs[0].name
        one = {"name": name, "shape": list(tensor.shape), "datatype": "FP32", **more}
        return json.dumps({"inputs": [one]}).encode()

    def binary(model: str) -> Question:
        head = described(model, parameters={"binary_data_size": len(raw)})
        length = {"Inference-Header-Content-Length": str(len(head))}
        file = write(f"{model}.binary", head + raw)
        return Question(file, f"/v2/models/{model}/infer", "application/octet-stream", length)

    def listed(model: str, data: list[float], name: str = "json") -> Question:
        file = write(f"{model}.{name}", described(model, data=data))
        return Question(file, f"/v2/models/{model}/infer", "application/json")

    picture = base64.b64encode(PHOTO.read_bytes()).decode()
    rows = write("rows.json", json.dumps({"instances": [{"b64": picture}]}).encode())
    questions = (
        Question(PHOTO, "/predict", "image/jpeg"),
        Question(rows, f"/v1/models/{MODEL}:predict", "application/json"),
        binary(MODEL),
        listed(MODEL, numbers),
        listed(MODEL, rounded, "rounded"),
        binary(SMALL),
        listed(SMALL, numbers),
    )
    return dict(zip(FORMS, questions, strict=True))


def _build_small(store: str) -> None:
    import keras

    from model.build.assemble import Request, build
    from model.build.source import of_keras

    inputs = keras.Input((224, 224, 3), name="image")
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(inputs))
    build(of_keras(keras.Model(inputs, outputs)), Request(Path(store), SMALL, "1"))


if __name__ == "__main__":
    _build_small(sys.argv[1])
