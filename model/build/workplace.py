"""Where a bundle is made: a hidden folder beside its place in the store, so that a rename puts it there whole."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..locks import is_locked, locked
from .errors import BuildError

PREFIX = ".building-"


@contextlib.contextmanager
def work_folder(target: Path, space: int) -> Iterator[Path]:
    """The folder for the length of a `with` block, gone afterwards in any case, with parents that were made for it.

    space: bytes that must be free. What builds that were killed left beside it is removed first.
    Raises BuildError where it cannot be had.
    """
    made = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
    work = None
    with contextlib.ExitStack() as held:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with locked(target.parent):  # no other build sees the folder before it is locked
                _remove_leftovers(target.parent)
                _check_space(target.parent, space)
                work = Path(tempfile.mkdtemp(prefix=PREFIX, dir=target.parent))
                held.enter_context(locked(work))
            yield work
        except OSError as fault:
            raise BuildError(f"{target} cannot be written: {fault}") from fault
        finally:
            if work is not None:
                shutil.rmtree(work, ignore_errors=True)
            for folder in made:
                with contextlib.suppress(OSError):  # not empty: the bundle is in it
                    folder.rmdir()


def _remove_leftovers(folder: Path) -> None:
    """A build that runs holds its folder; the kernel let go of those that were killed."""
    for left in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # it has just become a version
            if not is_locked(left):
                shutil.rmtree(left, ignore_errors=True)


def _check_space(folder: Path, space: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < space:
        raise BuildError(f"{folder} has {free / 1e6:,.0f} MB free; about {space / 1e6:,.0f} MB are needed. Make room.")
