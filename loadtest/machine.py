"""The machine that the figures are from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import psutil

_PACKAGES = ("gunicorn", "flask", "flask-restful", "ai-edge-litert", "pillow", "numpy", "keras", "tensorflow")
_BUSY = 0.25  # of the cores, as a load average


def describe() -> dict[str, str]:
    """What a reader needs to judge the figures."""
    return {
        "CPU": f"{_model()}, {os.cpu_count()} cores",
        "Memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "System": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Versions": ", ".join(f"{name} {version}" for name in _PACKAGES if (version := _version(name))),
    }


def warning() -> str:
    """What to say when others use the machine; empty when it is quiet."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load <= _BUSY * cores:
        return ""
    return (
        f"The load average is {load:.1f} on {cores} cores: others use this machine. Absolute figures say little then; "
        "of the ratios, those of CPU time are the least disturbed."
    )


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
