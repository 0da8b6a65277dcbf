"""Large pictures a strip at a time: work on the whole of one would take several times its memory."""

from __future__ import annotations

from collections.abc import Iterator

PIXELS = 1 << 18  # of a strip
Box = tuple[int, int, int, int]  # left, top, right, bottom


def boxes(size: tuple[int, int]) -> Iterator[Box]:
    """Those of a picture of (width, height), whole rows from the top on; the last may have fewer."""
    width, height = size
    rows = max(1, PIXELS // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)
