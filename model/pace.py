"""Work that runs beside requests: in pieces, with rests between them."""

from __future__ import annotations

import time
from collections.abc import Callable

# A core that is four fifths busy has a fifth to spare; what a piece took away is back after so many times its length.
_REST = 4.0
_LONGEST = 0.1  # seconds; a large piece must not keep a new version from being served soon


class Pace:
    """How one piece of work follows the other. Made when the work begins.

    busy: whether anybody may be waiting for answers; while nobody is, there are no rests.
    """

    def __init__(self, busy: Callable[[], bool] = lambda: False) -> None:
        self._busy = busy
        self._since = time.monotonic()

    def rest(self) -> None:
        """A piece is done: let requests catch up."""
        if self._busy():
            time.sleep(min(_REST * (time.monotonic() - self._since), _LONGEST))
        self._since = time.monotonic()
