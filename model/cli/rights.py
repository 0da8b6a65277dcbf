"""Who may read a version, told from owners and modes: a service often runs as another user than whoever copied it."""

from __future__ import annotations

import stat
from pathlib import Path

from .. import disk
from ..bundle import MANIFEST

_READ, _ENTER = 4, 1
_OWNER, _GROUP, _OTHERS = 6, 3, 0  # where the three bits of each are in a mode


def narrower(store: Path, folder: Path) -> list[Path]:
    """What of a version, its folders included, is closed to some of those who may read the store.

    Lists of access control are not looked at. Raises BundleError or OSError when the version cannot be read at all.
    """
    names = [MANIFEST, *(file.name for file in disk.files(disk.read(folder)))]
    return [path for path in (folder.parent, folder, *(folder / name for name in names)) if _is_narrower(store, path)]


def _is_narrower(store: Path, path: Path) -> bool:
    outer, inner = store.stat(), path.stat()
    wanted = _READ | _ENTER if stat.S_ISDIR(inner.st_mode) else _READ
    readers = {
        _OWNER: outer.st_uid == inner.st_uid or outer.st_uid == 0,  # root needs no rights
        _GROUP: outer.st_gid == inner.st_gid,
        _OTHERS: True,
    }
    return any(
        outer.st_mode >> who & _READ and inner.st_mode >> (who if same else _OTHERS) & wanted != wanted
        for who, same in readers.items()
    )
