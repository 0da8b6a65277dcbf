"""What another user may do with a file, told from owners and modes."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

READ, WRITE, ENTER = 4, 2, 1
_MOST_LINKS = 40  # of the kernel: path_resolution(7)


def obstacle(user: str, path: Path, wanted: int) -> str:
    """Why a user may not do what is wanted with a file; empty where it may. user: empty for the one who asks.

    Lists of access control are not looked at. Raises KeyError where there is no such user.
    """
    uid, groups = _identity(user)
    if uid == 0:
        return ""
    for folder in _folders(path):
        if not _may(folder, ENTER, uid, groups):
            return f"{user or 'you'} may not enter {folder}"
    if not _may(path, wanted, uid, groups):
        verb = "write to" if wanted & WRITE else "read"
        return f"{user or 'you'} may not {verb} {path}"
    return ""


def _folders(path: Path) -> Iterator[Path]:
    """Those that are entered on the way to a file, in order: links lead through folders of their own."""
    at, *names = path.absolute().parts
    folder, names, links = Path(at), names[::-1], 0
    while names:
        yield folder
        name = names.pop()
        if not (folder / name).is_symlink():
            folder = folder.parent if name == ".." else folder / name
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = (folder / name).readlink()
        folder = Path(target.anchor or folder)
        names += [part for part in target.parts if part != target.anchor][::-1]


def _identity(user: str) -> tuple[int, set[int]]:
    if not user:
        return os.geteuid(), {os.getegid(), *os.getgroups()}
    entry = pwd.getpwnam(user)
    return entry.pw_uid, set(os.getgrouplist(user, entry.pw_gid))


def _may(path: Path, wanted: int, uid: int, groups: set[int]) -> bool:
    seen = path.stat()
    if seen.st_uid == uid:
        allowed = seen.st_mode >> 6
    elif seen.st_gid in groups:
        allowed = seen.st_mode >> 3
    else:
        allowed = seen.st_mode
    return allowed & wanted == wanted
