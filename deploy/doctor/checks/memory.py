"""Memory against the models: an estimate, from the size of their files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from model import disk
from model.bundle import Bundle
from model.errors import BundleError

from .. import unit
from ..chain import Chain
from ..findings import Finding, Findings, Level
from .store import engine_of, to_load

_MIB = 1 << 20
# Of one worker, measured with MobileNetV2 and ResNet50: what Python and the libraries take, and how often the size of
# a model's file, while it loads at least. Most LiteRT models of pictures hold half of that later, but not all, and
# whether they will is known when they are loaded. Keras brings TensorFlow.
_WORKER = {"keras": 600 * _MIB}
_COMPILED_WORKER = 60 * _MIB
_TIMES = {"keras": 4, "litert-float16": 4}  # weights of 16 bits are unpacked, then copied
_COMPILED_TIMES = 2
# While a picture is decoded, at most, in bytes a pixel: two canvases of libwebp, its work on the alpha, and a copy.
# Others take 4 to 12. tests/unit/test_picture_memory.py measures them.
PIXEL = 13
BODIES = 3  # how often the body is held meanwhile


def check(chain: Chain) -> Findings:
    """Every worker holds every model, and while versions switch the new one beside the old one."""
    need = _need(chain)
    total, available = _of_machine()
    limit = min([total, *_of_groups(), unit.memory(chain.unit.last("MemoryMax") if chain.unit else "", int(total))])
    message = f"About {need / _MIB:,.0f} MiB are needed while versions switch, and {limit / _MIB:,.0f} MiB are there."
    if need > limit:
        remedy = "Fewer workers (KILN_WORKERS) or models (KILN_MODELS), or a larger machine."
        yield Finding("memory", Level.PROBLEM, message, remedy)
    elif need > available:
        message += f" {available / _MIB:,.0f} MiB of them are free."
        yield Finding(
            "memory", Level.WARNING, message, "If Kiln runs already, it is what takes the rest; else free it."
        )
    else:
        yield Finding("memory", Level.GOOD, message)
    settings = chain.settings
    pictures = chain.workers * (settings.max_pixels * PIXEL + settings.max_body_bytes * BODIES)
    if need <= limit < need + pictures and any(bundle.preprocessing for bundle in _bundles(chain)):
        yield Finding(
            "memory",
            Level.WARNING,
            f"The largest pictures that are taken, one in each worker at a time, need {pictures / _MIB:,.0f} MiB more.",
            "Lower KILN_MAX_PIXELS to what your clients send, or take fewer workers or a larger machine.",
        )


def _need(chain: Chain) -> float:
    bundles = list(_bundles(chain))
    engines = {engine_of(chain, bundle) for bundle in bundles}
    sizes = [
        bundle.engines[engine].size * _TIMES.get(engine, _COMPILED_TIMES)
        for bundle in bundles
        if (engine := engine_of(chain, bundle)) in bundle.engines
    ]
    base = max((_WORKER.get(engine, _COMPILED_WORKER) for engine in engines), default=_COMPILED_WORKER)
    return chain.workers * (base + sum(sizes) + max(sizes, default=0))


def _bundles(chain: Chain) -> Iterator[Bundle]:
    for folder in to_load(chain):
        try:
            yield disk.read(folder)
        except BundleError:
            continue  # the store's check has said so


def _of_machine() -> tuple[float, float]:
    """(bytes in all, bytes that could be had now)"""
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = {name: float(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines)}
    return found["MemTotal"], found["MemAvailable"]


def _of_groups() -> Iterator[float]:
    """The limits of the control groups that this process is in: in a container those are the service's too."""
    for file in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            yield float(text)
