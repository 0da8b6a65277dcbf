"""The photos that load tests post."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path

from .processes import ROOT, Failed

FOLDER = ROOT / "tests" / "data"  # a photo of a cat, where no other folder is given
WAYS = ("raw", "form", "json")
_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_MOST = 1000  # photos of a folder
_NAMED = 10  # of those that cannot be read
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


def find_photos(folder: Path) -> list[Path]:
    """The JPEG, PNG and WebP files of a folder and of those in it, by name, 1000 at most. Raises Failed when there
    are none, or some cannot be read."""
    try:
        within = sorted(path for path in folder.rglob("*") if path.is_dir() or path.suffix.lower() in _TYPES)
        files = [path for path in within if path.is_file()][:_MOST]
        closed = [path for path in (folder, *within) if path.is_dir() and not _open(path, os.R_OK | os.X_OK)]
    except OSError as fault:
        raise Failed(f"The photos in {folder} cannot be read: {fault}") from fault
    closed += [file for file in files if not _open(file, os.R_OK)]
    if closed:
        more = f" and {len(closed) - _NAMED} more" if len(closed) > _NAMED else ""
        raise Failed(f"These cannot be read: {', '.join(map(str, closed[:_NAMED]))}{more}.")
    if not files:
        raise Failed(f"{folder} has no photos: name a folder with .jpg, .png or .webp files.")
    return files


def _open(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=True)


def read_photo(file: Path) -> Photo:
    """A photo in memory. Raises Failed when it cannot be read."""
    try:
        return Photo(file.name, file.read_bytes(), _TYPES[file.suffix.lower()])
    except OSError as fault:
        raise Failed(f"{file} cannot be read: {fault.strerror}.") from fault


def read_photos(folder: Path) -> list[Photo]:
    """All that find_photos finds, in memory. Raises Failed as it does."""
    return [read_photo(file) for file in find_photos(folder)]
