"""CPU and memory of each process of a server while it works."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

GENERATOR = "load generator"


@dataclass(frozen=True)
class Usage:
    """What a process used: cores in the mean, and memory (PSS where the system tells it) in units of 10^6 bytes."""

    cores: float
    memory_mb: float


class Watch:
    """Reads at its beginning and in `stop` what the processes and this one have used. Processes may end meanwhile, or
    have ended before."""

    def __init__(self, roots: Sequence[psutil.Process]) -> None:
        self._roots = roots
        self._processes = {GENERATOR: psutil.Process(os.getpid())}
        self._before = {GENERATOR: _seconds(self._processes[GENERATOR])}
        for root in roots:
            for process in _family(root):
                with contextlib.suppress(psutil.NoSuchProcess):
                    role = "master" if process is root else "worker"
                    name, before = _name(process, len(self._processes), role), _seconds(process)
                    self._processes[name], self._before[name] = process, before
        self._started = time.perf_counter()

    def stop(self) -> dict[str, Usage]:
        """name -> usage since the beginning, without processes that have ended meanwhile."""
        took, found = time.perf_counter() - self._started, {}
        for name, process in self._processes.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                found[name] = Usage((_seconds(process) - self._before[name]) / took, _megabytes(process))
        return found

    def ended(self) -> list[int]:
        """The first processes that no longer run, by their ids."""
        return [root.pid for root in self._roots if not _runs(root)]


def _family(root: psutil.Process) -> list[psutil.Process]:
    """Itself and all that it started; nothing once it has ended."""
    try:
        return [root, *sorted(root.children(recursive=True), key=lambda process: process.pid)]
    except psutil.NoSuchProcess:
        return []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _name(process: psutil.Process, number: int, role: str) -> str:
    """What it is and does, with a number that makes it one of a kind. gunicorn is called as its interpreter is."""
    name = process.name()
    return f"{number} {'gunicorn' if name.startswith('python') else name}, {role}"


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _megabytes(process: psutil.Process) -> float:
    try:
        full = process.memory_full_info()
        return float(getattr(full, "pss", full.rss)) / 1e6
    except psutil.AccessDenied:
        return float(process.memory_info().rss) / 1e6
