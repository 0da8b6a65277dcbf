"""The training photos: a manifest, and every picture decoded once into memory."""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

LABELS = ("cat", "dog")


@dataclass(frozen=True)
class Photos:
    """Decoded photos of one split.

    images: uint8 RGB arrays, each (height, width, 3), sizes differ.
    labels: int64, (n,), an index into LABELS.
    paths: (n,) paths relative to the photo folder.
    """

    images: list[np.ndarray]
    labels: np.ndarray
    paths: list[str]

    def __len__(self) -> int:
        return len(self.images)


def read_split(folder: Path, split: str) -> Photos:
    """Read the photos whose manifest row says `split` ("train" or "val").

    Raises FileNotFoundError when the folder has no manifest.csv or lacks a photo it names.
    """
    with (folder / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(lambda row: _decode(folder / row["path"]), rows))
    labels = np.array([LABELS.index(row["label"]) for row in rows], np.int64)
    return Photos(images, labels, [row["path"] for row in rows])


def _decode(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f"{path} is missing or is not a picture")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
