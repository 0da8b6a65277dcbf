"""What another user may do with a file, told from owners and modes."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

READ, WRITE, ENTER = 4, 2, 1


def obstacle(user: str, path: Path, wanted: int) -> str:
    """Why a user may not do what is wanted with a file; empty where it may. user: empty for the one who asks.

    Lists of access control are not looked at. Raises KeyError where there is no such user.
    """
    uid, groups = _identity(user)
    if uid == 0:
        return ""
    for folder in reversed(path.absolute().parents):
        if not _may(folder, ENTER, uid, groups):
            return f"{user or 'you'} may not enter {folder}"
    if not _may(path, wanted, uid, groups):
        verb = "write to" if wanted & WRITE else "read"
        return f"{user or 'you'} may not {verb} {path}"
    return ""


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
