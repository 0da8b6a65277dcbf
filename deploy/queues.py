"""How long each worker's queue is, where all workers see it: so that kept connections even out.

Whoever keeps a connection is bound to the worker that took it. One that is up first, or alone for the second in which
another is replaced, takes all that nginx opens, and nginx keeps them while they are used: of two workers one would work
and the other wait. A worker whose queue is longer than another's therefore closes a connection with its answer now and
then, and an idle one takes the client's next.

The master imports this file.
"""

from __future__ import annotations

import mmap

_EVERY = 8  # answers of one that is behind; queues that differ for a moment, by chance, must not cost connections
_NOBODY = 255  # in a place of which no worker takes connections; also the longest that is told


class Queues:
    """Made by the master and shared by the workers that it forks. A byte for each slot, written by its worker alone.

    slots: how many workers there may be; further ones neither tell nor are told.
    """

    def __init__(self, slots: int) -> None:
        self._lengths = mmap.mmap(-1, slots)  # zero means an idle worker, so:
        self._lengths[:] = bytes([_NOBODY]) * slots
        self._behind = 0  # how often that has been found; each process counts its own

    def tell(self, slot: int, length: int) -> None:
        """Requests that this worker has found at a look; 0 when it has answered them."""
        if slot < len(self._lengths):
            self._lengths[slot] = min(length, _NOBODY)

    def leave(self, slot: int) -> None:
        """This worker takes no connections: not yet, or no longer."""
        self.tell(slot, _NOBODY)

    def lets_go(self, slot: int) -> bool:
        """Should a connection be closed that could be kept? To be asked with each answer."""
        if not self._is_behind(slot):
            return False
        self._behind += 1
        return self._behind % _EVERY == 0

    def _is_behind(self, slot: int) -> bool:
        """Has another worker much less to do?

        One request more is chance. With long queues, in an overload, a new connection costs more than evening out the
        last quarter is worth.
        """
        lengths = self._lengths
        if slot >= len(lengths) or (own := lengths[slot]) < 2:
            return False
        shortest = min(min(lengths[:slot], default=_NOBODY), min(lengths[slot + 1 :], default=_NOBODY))
        return own > shortest + 1 + shortest // 4
