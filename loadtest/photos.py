"""The photos that load tests post."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from .processes import ROOT, Failed

FOLDER = ROOT / "tests" / "data"  # a photo of a cat, where no other folder is given
WAYS = ("raw", "form", "json")
_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_MOST = 1000  # read into memory
_BOUNDARY = "kiln-load-7f3d1c9b5a"


@dataclass(frozen=True)
class Photo:
    """A picture as its file has it, with its media type."""

    name: str
    content: bytes
    kind: str

    def body(self, way: str) -> tuple[bytes, str]:
        """(body, Content-Type) of a request: a raw body, a form, or JSON with base64."""
        if way == "raw":
            return self.content, self.kind
        if way == "json":
            text = base64.b64encode(self.content).decode()
            return json.dumps({"instances": [{"b64": text}]}).encode(), "application/json"
        return self.form("image")

    def form(self, field: str) -> tuple[bytes, str]:
        """(body, Content-Type) of a form with the picture in that field."""
        head = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="photo"\r\n'
            f"Content-Type: {self.kind}\r\n\r\n"
        )
        end = f"\r\n--{_BOUNDARY}--\r\n"
        return head.encode() + self.content + end.encode(), f"multipart/form-data; boundary={_BOUNDARY}"


def read_photos(folder: Path) -> list[Photo]:
    """The JPEG, PNG and WebP files of a folder and of those in it, by name, 1000 at most. Raises Failed when there
    are none."""
    try:
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _TYPES and file.is_file())
        photos = [Photo(file.name, file.read_bytes(), _TYPES[file.suffix.lower()]) for file in files[:_MOST]]
    except OSError as fault:
        raise Failed(f"The photos in {folder} cannot be read: {fault}") from fault
    if not photos:
        raise Failed(f"{folder} has no photos: name a folder with .jpg, .png or .webp files.")
    return photos
