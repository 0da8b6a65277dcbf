"""How often a key may be used: counted by all workers of a node together."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_MOMENT = struct.Struct("d")
_ROUNDING = 1e-6  # seconds; sums of fractions are not exact


class Bucket:
    """So many requests a second, and at most a second's worth of them (or one) at once.

    What it keeps is one moment: until when the requests that were taken use up the rate.
    moment: where it is kept. clock: seconds, one clock for all who share the moment.
    """

    def __init__(self, rate: float, moment: Moment, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._moment = moment
        self._clock = clock

    def take(self) -> float:
        """Seconds to wait for one; 0 where it was there, and then it is taken."""
        rate, most = self.rate, max(1.0, self.rate)
        with self._moment.held():
            now = self._clock()
            # Not beyond what this rate can have used up: it may have been lower before.
            until = min(max(self._moment.read(), now), now + most / rate)
            wait = until - now - (most - 1) / rate
            if wait > _ROUNDING:
                return wait
            self._moment.write(until + 1 / rate)
        return 0.0

    def give_back(self) -> None:
        """One that was taken was not needed."""
        with self._moment.held():
            self._moment.write(self._moment.read() - 1 / self.rate)


class Moment:
    """A number that the threads of this process share.

    folder: where it has a file that other processes read and write, too; None, or no room for it: it is this process's.
    name: whose it is, the same in each process.
    """

    def __init__(self, folder: Path | None = None, name: str = "") -> None:
        self._lock = threading.Lock()
        self._own = 0.0
        self._file = -1
        if folder:
            path = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.rate"
            with contextlib.suppress(OSError):
                self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else reads or writes it meanwhile. The kernel lets go of it when a process is killed."""
        with self._lock:
            if self._file < 0:
                yield
                return
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def read(self) -> float:
        """0 where nothing was written."""
        kept = os.pread(self._file, _MOMENT.size, 0) if self._file >= 0 else b""
        return float(_MOMENT.unpack(kept)[0]) if len(kept) == _MOMENT.size else self._own

    def write(self, moment: float) -> None:
        """Keep it for the others, or where there is no room, for this process."""
        self._own = moment
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.pwrite(self._file, _MOMENT.pack(moment), 0)

    def __del__(self) -> None:
        """Of a key that was removed: what is in the file stays, for others that still read it."""
        if self._file >= 0:
            os.close(self._file)
