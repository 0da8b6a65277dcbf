"""What lies in a store, seen by cheap looks: names and stat alone; a manifest is read only after it changed."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from . import bundle as bundles
from .bundle import MANIFEST, Bundle, File
from .errors import BundleError
from .policy import is_number

# name -> size, times of change of content and of the entry, inode: what differs after any write or replacement
Stats = dict[str, tuple[int, int, int, int]]
_UNREADABLE = (0, 0, 0, 0)  # what stands for the stat of a file that cannot be looked at
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


def is_name(text: str) -> bool:
    """Can a model be called that?"""
    return _NAME.fullmatch(text) is not None


def names(store: Path) -> list[str]:
    """The models of a store: folders that hold at least one version, and those that cannot be read, which may.

    Raises OSError when the store itself cannot be read.
    """
    return sorted(name for name in _folders(store) if is_name(name) and _may_be_model(store / name))


def versions(folder: Path) -> list[str]:
    """The versions of a model: folders whose name is a decimal number; none where there is no such model.

    One that cannot be read is among them. Raises OSError when the model's folder is there, or is a link to what is out
    of reach, and cannot be read: that is not the same as its having been removed.
    """
    found: list[str] = []
    with _none_if_removed(folder):
        found = [name for name in _folders(folder) if is_number(name)]
    return found


def stats(folder: Path) -> Stats:
    """Every file of a folder; empty when it is not there. Raises OSError as `versions` does."""
    found: Stats = {}
    with _none_if_removed(folder), os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.is_file():
                    seen = entry.stat()
                    found[entry.name] = (seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)
            except FileNotFoundError:  # it vanished, or is a link to nowhere
                continue
            except OSError:
                found[entry.name] = _UNREADABLE
    return found


def why_unreadable(fault: OSError, folder: Path, store: Path) -> str:
    """Why a folder of the store cannot be read, for people."""
    return f"{named_within(store, str(fault.filename or folder))} cannot be read: {fault.strerror or fault}"


def files(bundle: Bundle) -> list[File]:
    """Every file that the manifest names."""
    return [*bundle.engines.values(), bundle.golden]


def of_bundle(seen: Stats, bundle: Bundle) -> Stats:
    """The part that matters: other files, such as a model card, may come and go."""
    return {name: seen[name] for name in (MANIFEST, *(file.name for file in files(bundle))) if name in seen}


def check_sizes(bundle: Bundle, seen: Stats) -> None:
    """Raises BundleError naming every file that is missing or not yet (or no longer) of its recorded size."""
    closed = [file.name for file in files(bundle) if seen.get(file.name) == _UNREADABLE]
    if closed:
        raise BundleError(f"{bundle.folder}: {', '.join(sorted(closed))} cannot be read.")
    wrong = sorted(
        f"{file.name} is {'missing' if file.name not in seen else 'incomplete'}"
        for file in files(bundle)
        if file.name not in seen or seen[file.name][0] != file.size
    )
    if wrong:
        raise BundleError(f"{bundle.folder}: {'; '.join(wrong)}. It is being copied, or has to be copied again.")


def read(folder: Path) -> Bundle:
    """Read a manifest. A bundle is called what its folders are called: that is how it is moved and copied.

    Raises BundleError, whatever is wrong with it.
    """
    try:
        return bundles.read(folder)._replace(name=folder.parent.name, version=folder.name)
    except BundleError:
        raise
    except Exception as fault:  # one odd manifest must not keep the others from being read
        raise BundleError(f"{folder / MANIFEST} cannot be read: {type(fault).__name__}: {fault}") from fault


def named_within(store: Path, message: str) -> str:
    """A message with the paths as they are in the store: clients are told, too, and where it lies is not their
    business."""
    return message.replace(f"{store}{os.sep}", "")


@contextlib.contextmanager
def _none_if_removed(folder: Path) -> Iterator[None]:
    """A link to nowhere is not removed: the disk that it leads to may have gone, or be hidden from the service."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        if folder.is_symlink():
            raise


def _may_be_model(folder: Path) -> bool:
    try:
        return bool(versions(folder))
    except OSError:  # one that cannot be read must not hide the others, nor be hidden by them
        return True


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if _may_be_folder(entry)]


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    """A link to what is out of reach may be one: whoever looks into it is told why that fails."""
    try:
        return entry.is_dir() or (entry.is_symlink() and not Path(entry).exists())
    except OSError:
        return True
