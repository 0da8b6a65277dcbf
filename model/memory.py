"""Give the memory of an unloaded model back to the system."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable

# Engines whose models are held in reference cycles, which only the collector ends.
_CYCLIC = ("keras",)


def give_back(engine: str) -> None:
    """Called when a model of that engine is no longer held. The C library would keep what it freed for later."""
    if engine in _CYCLIC:
        gc.collect()
    _trim(0)


def _find_trim() -> Callable[[int], object]:
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim  # glibc alone has it
    except (AttributeError, OSError):
        return lambda _: None
    return trim


_trim = _find_trim()
