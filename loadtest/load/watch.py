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
    """Reads at its beginning and in `stop` what the processes and this one have used."""

    def __init__(self, roots: Sequence[psutil.Process]) -> None:
        self._processes = {GENERATOR: psutil.Process(os.getpid())}
        for root in roots:
            children = sorted(root.children(recursive=True), key=lambda process: process.pid)
            for process in (root, *children):
                role = "master" if process is root else "worker"
                self._processes[_name(process, len(self._processes), role)] = process
        self._before = {name: _seconds(process) for name, process in self._processes.items()}
        self._started = time.perf_counter()

    def stop(self) -> dict[str, Usage]:
        """name -> usage since the beginning, without processes that have ended meanwhile."""
        took, found = time.perf_counter() - self._started, {}
        for name, process in self._processes.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                found[name] = Usage((_seconds(process) - self._before[name]) / took, _megabytes(process))
        return found


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
