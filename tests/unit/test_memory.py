"""Large blocks are given back when models go: in a process of its own, whose C library has not learned anything yet."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
# Weights come and go several times, and what is held last is the kernel's: a heap would have grown by it.
_PROGRAM = """
import ctypes
import numpy as np
from model import memory

class Told(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd a b used free last".split()]

told = ctypes.CDLL(None).mallinfo2
told.restype = Told
memory.keep_together()
before = told()
for _ in range(5):
    blocks = [np.zeros(megabytes << 20, np.uint8) for megabytes in (5, 8, 14, 30)]
    small = [np.ones(2 << 20, np.uint8) for _ in range(3)]
now = told()
print(now.hblkhd - before.hblkhd >> 20, now.arena - before.arena >> 20)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library is not glibc 2.33 or newer")
def test_weights_of_versions_that_come_and_go_stay_out_of_the_heap() -> None:
    told = subprocess.run([sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    mapped, heap = map(int, told.stdout.split())
    assert mapped >= 8 + 14 + 30  # the smallest may find room among blocks that were freed
    assert heap < 30
