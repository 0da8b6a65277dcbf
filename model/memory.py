"""Memory of models that come and go: where the C library (glibc) keeps it, and how it is given back."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable

# Engines whose models are held in reference cycles, which only the collector ends.
_CYCLIC = ("keras",)


_M_ARENA_MAX = -8  # of malloc.h
_ARENAS = 2  # one for the main thread, one for all others


def keep_together() -> None:
    """Called once, before threads load models. Each thread would else get a heap of its own, with holes of its own."""
    _c_function("mallopt")(_M_ARENA_MAX, _ARENAS)


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
