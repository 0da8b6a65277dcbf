"""Memory of models that come and go: where the C library (glibc) keeps it, and how it is given back."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable

# Engines whose models are held in reference cycles, which only the collector ends.
_CYCLIC = ("keras",)


_M_ARENA_MAX, _M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -8, -1, -3  # of malloc.h
_ARENAS = 2  # one for the main thread, one for all others
# Bytes. Blocks from this size on are the kernel's, and go back to it when they are freed. The C library begins with
# less and raises it to the largest block that was ever freed: weights would soon lie in heaps, a version's among the
# next one's. MobileNetV2 at 224 px took 67 MB instead of 55 after a few versions. What requests need is smaller, most
# of it.
_LARGE = 4 * 1024 * 1024


def keep_together() -> None:
    """Called once, before threads load models. Each thread would else get a heap of its own, with holes of its own."""
    set_option = _c_function("mallopt")
    set_option(_M_ARENA_MAX, _ARENAS)
    set_option(_M_MMAP_THRESHOLD, _LARGE)
    # What lies free at a heap's end and is less than this stays: small blocks are not given back each time. With twice
    # as much, which is the C library's own rule, workers of the shipped model kept 7 MB more after 14 versions.
    set_option(_M_TRIM_THRESHOLD, _LARGE)


def give_back(engine: str = "") -> None:
    """Called when a model of that engine is no longer held, or much else was freed. The C library would keep it."""
    if engine in _CYCLIC:
        gc.collect()
    _c_function("malloc_trim")(0)


def _c_function(name: str) -> Callable[..., object]:
    """A function of the C library, or one that does nothing where there is none of that name."""
    try:
        found: Callable[..., object] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return lambda *_: None
    return found
