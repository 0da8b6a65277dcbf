"""Keeping what native libraries write off the terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def native_code() -> Iterator[None]:
    """Meanwhile nothing that TensorFlow's native code writes reaches stderr; what Python writes still does. For
    commands: the level of logging that is set it does not heed, and a service must not lose what a crash says."""
    before, stderr = os.dup(2), sys.stderr
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with os.fdopen(os.dup(2), "w", buffering=1) as terminal, Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        sys.stderr = terminal
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of libraries among themselves
                yield
        finally:
            sys.stderr = stderr
            os.dup2(before, 2)
            os.close(before)
