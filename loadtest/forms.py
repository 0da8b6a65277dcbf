"""What the ways to post a picture to /predict cost: as a raw body, in a form as `curl -F` sends it, in JSON, with the
model named in the query."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import servers
from .asking import Question, Series, faults, in_turns
from .figures import Goal, ratio
from .servers import MODEL, PHOTO

RAW = "raw body"
_CONNECTIONS = 16
_BOUNDARY = "kiln-bench-boundary"


@dataclass
class Findings:
    """Each way, by name."""

    ways: dict[str, Series]

    def goals(self) -> list[Goal]:
        """How many answers there are in each way, for one to a raw body."""
        raw = self.ways[RAW].rate
        return [Goal(f"{name} / {RAW}", ratio(way.rate, raw)) for name, way in self.ways.items() if name != RAW]

    def faults(self) -> list[str]:
        """Why some of it must not be used."""
        return faults(self.ways)

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)


def measure(rounds: int, seconds: int, tell: Callable[[str], None]) -> Findings:
    """Ask the model that ships in each way in turns."""
    with tempfile.TemporaryDirectory(prefix="kiln-forms-") as name:
        questions = _questions(Path(name))
        with servers.kiln() as server:
            return Findings(in_turns(server, questions, rounds, seconds, _CONNECTIONS, tell))


def _questions(folder: Path) -> dict[str, Question]:
    photo = PHOTO.read_bytes()
    form, text = folder / "form", folder / "base64.json"
    form.write_bytes(
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="image"; filename="cat.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + photo
        + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )
    text.write_text(json.dumps({"instances": [{"b64": base64.b64encode(photo).decode()}]}))
    return {
        RAW: Question(PHOTO, "/predict", "image/jpeg"),
        f"raw body, ?model={MODEL}&top=1": Question(PHOTO, f"/predict?model={MODEL}&top=1", "image/jpeg"),
        "form": Question(form, "/predict", f"multipart/form-data; boundary={_BOUNDARY}"),
        "base64 in JSON": Question(text, "/predict", "application/json"),
        "raw body, answered by Flask": Question(PHOTO, "/predict?note=%20", "image/jpeg"),
    }
