"""The bodies that locust posts, each made when it is first posted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .photos import find_photos, read_photo

_MOST_KEPT = 256 * 2**20  # bytes; what is beyond is made anew at each post


class Bodies:
    """A folder's photos by one way or several, in turns."""

    def __init__(self, folder: Path, ways: Sequence[str], most_kept: int = _MOST_KEPT) -> None:
        """Looks for the photos and reads none. Raises Failed when there are none or some cannot be read."""
        self._posts = [(file, way) for file in find_photos(folder) for way in ways]
        self._kept: dict[int, tuple[bytes, str]] = {}
        self._room = most_kept

    def __len__(self) -> int:
        return len(self._posts)

    def get(self, number: int) -> tuple[str, bytes, str]:
        """(way, body, Content-Type). Raises Failed when the photo cannot be read any more."""
        file, way = self._posts[number]
        made = self._kept.get(number) or read_photo(file).body(way)
        if number not in self._kept and len(made[0]) <= self._room:
            self._kept[number] = made
            self._room -= len(made[0])
        return way, *made
