"""Kiln with one more route, whose requests hang in native code. For tests of what becomes of the worker."""

from __future__ import annotations

import ctypes

from api import app

HOLDS = {"held": ctypes.PyDLL(None), "free": ctypes.CDLL(None)}  # whether Python's lock is held meanwhile


@app.post("/hang/<lock>")
def hang(lock: str) -> str:
    HOLDS[lock].sleep(3600)
    return "awake"
