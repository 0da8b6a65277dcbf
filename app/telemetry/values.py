"""Where the numbers of metrics are kept: in this process, and in files that any worker can add up.

prometheus_client's own class for several processes writes each change through to its file, and never lets a series go.
This one notes which numbers have changed, to write them together, and keeps what is counted for one
version of a model in a file of its own, which goes when the version has gone.

The files are prometheus_client's (mmap_dict.py there), named <kind>_<slot>.db, or <kind>_<slot>_<version's digest>.db.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from pathlib import Path
from typing import Any

from prometheus_client.mmap_dict import MmapedDict, mmap_key

logger = logging.getLogger("kiln.metrics")
_FILE_BYTES = 1 << 16  # MmapedDict's


class _Unshared(dict[str, float]):
    """In place of a file that there is no room for."""

    def read_value(self, key: str) -> tuple[float, float]:
        """See MmapedDict."""
        return self.get(key, 0.0), 0.0

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """See MmapedDict."""
        self[key] = value

    def close(self) -> None:
        """See MmapedDict."""


class Values:
    """The numbers of one worker. folder: where its files are. slot: what they are named by."""

    def __init__(self, folder: Path, slot: str) -> None:
        self._folder = folder
        self._slot = slot
        self._files: dict[tuple[str, str], MmapedDict | _Unshared] = {}
        self._changed: list[Value] = []
        self._lock = threading.Lock()

    def __call__(
        self,
        kind: str,
        metric: str,
        name: str,
        labels: list[str],
        values: list[str],
        meaning: str,
        multiprocess_mode: str = "",
        **_: Any,
    ) -> Value:
        """Make one number, as prometheus_client asks for it; it begins where its file says."""
        named = dict(zip(labels, values, strict=True))
        version = digest(named["model"], named["version"]) if kind != "gauge" and named.keys() >= _VERSION else ""
        kind = f"{kind}_{multiprocess_mode}" if kind == "gauge" else kind
        key = mmap_key(metric, name, labels, values, meaning)
        with self._lock:
            file = self._file(kind, version)
            return Value(self, file, key)

    def _file(self, kind: str, version: str) -> MmapedDict | _Unshared:
        if (kind, version) not in self._files:
            self._files[kind, version] = _opened(self._path(kind, version))
        return self._files[kind, version]

    def _path(self, kind: str, version: str) -> Path:
        return self._folder / f"{'_'.join(filter(None, (kind, self._slot, version)))}.db"

    def flush(self) -> None:
        """Write what has changed, for the others to see."""
        if self._changed:
            with self._lock:
                self._write()

    def _write(self) -> None:
        for value in self._changed:
            value.file.write_value(value.key, value.now, 0.0)
            value.changed = False
        self._changed.clear()

    def change(self, value: Value, now: float, *, more: bool) -> None:
        """Set a number, or add to it."""
        with self._lock:
            value.now = value.now + now if more else now
            if not value.changed:
                value.changed = True
                self._changed.append(value)

    def close(self) -> None:
        """Write everything and close the files; nothing may change afterwards."""
        with self._lock:
            self._write()
            for file in self._files.values():
                file.close()
            self._files.clear()

    def forget(self, model: str, version: str) -> None:
        """Let everything go that was counted for a version. No number of it may be changed afterwards."""
        with self._lock:
            self._write()
            found = digest(model, version)
            for kind in _KINDS:
                if (file := self._files.pop((kind, found), None)) is not None:
                    file.close()
                self._path(kind, found).unlink(missing_ok=True)


class Value:
    """One number. now: what it is. changed: whether its file does not have that yet."""

    __slots__ = ("_values", "changed", "file", "key", "now")
    _multiprocess = True

    def __init__(self, values: Values, file: MmapedDict | _Unshared, key: str) -> None:
        self._values = values
        self.file = file
        self.key = key
        self.now: float = file.read_value(key)[0]
        self.changed = False

    def inc(self, amount: float) -> None:
        """Add to it."""
        self._values.change(self, amount, more=True)

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Set it."""
        self._values.change(self, value, more=False)

    def get(self) -> float:
        """What it is."""
        return self.now

    def set_exemplar(self, exemplar: Any) -> None:
        """Not kept."""

    def get_exemplar(self) -> None:
        """There is none."""


_VERSION = {"model", "version"}
_KINDS = ("counter", "histogram")


def digest(model: str, version: str) -> str:
    """What stands for a version in the name of a file."""
    return hashlib.sha256(f"{model}/{version}".encode()).hexdigest()[:16]


def _opened(path: Path) -> MmapedDict | _Unshared:
    """The file; its memory is taken now, since writing to a mapped file that none is left for ends the process."""
    try:
        with path.open("a+b") as file:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, max(_FILE_BYTES, os.fstat(file.fileno()).st_size))
        return MmapedDict(str(path))
    except OSError as full:
        logger.error("No memory for metrics, make room in %s: %s", path.parent, full)
        return _Unshared()
