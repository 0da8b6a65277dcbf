"""The file of API keys: one a line, its name, its hash, and how many requests a second it may make.

    # name        hash of the key        requests a second; nothing: as many as it likes
    phone-2026    sha256:9f86d0…         rate=50

A key is 256 random bits, so that its SHA-256 is enough: salts and slow hashes protect what people choose, which can be
guessed. Whoever reads this file can use no key, and could not in the age of the universe find one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PREFIX = "kiln_"  # tells people and scanners of leaked secrets what it is
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_LINE = re.compile(r"(\S+)\s+sha256:([0-9a-f]{64})(?:\s+rate=([0-9]+(?:\.[0-9]+)?))?", re.ASCII)
_MODE = 0o640  # the owner writes; the group, which is its folder's, reads


class KeysError(ValueError):
    """The file cannot be used, or a change was refused; the message says what to do."""


class Key(NamedTuple):
    """One line. digest: SHA-256 of the key. rate: requests a second, of all workers together; 0 for no limit."""

    name: str
    digest: bytes
    rate: float = 0.0

    def line(self) -> str:
        """As it stands in the file."""
        return f"{self.name} sha256:{self.digest.hex()}" + (f" rate={self.rate:g}" if self.rate else "")


def digest(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def read(path: Path) -> tuple[Key, ...]:
    """Every key of a file; an empty file has none. Raises KeysError naming every line that is wrong, and OSError."""
    return _parse(path, path.read_text(encoding="utf-8", errors="replace"))


def _parse(path: Path, text: str) -> tuple[Key, ...]:
    keys: dict[str, Key] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if not (content := line.partition("#")[0].strip()):
            continue
        found = _LINE.fullmatch(content)
        if found is None or not _NAME.fullmatch(found[1]):
            problems.append(f"line {number} is not NAME sha256:HASH [rate=NUMBER]")  # what it says may be a secret
        elif found[1] in keys:
            problems.append(f"line {number} repeats the name {found[1]}")
        else:
            keys[found[1]] = Key(found[1], bytes.fromhex(found[2]), float(found[3] or 0))
    if problems:
        raise KeysError(f"{path}: {'; '.join(problems)}. kiln keys add NAME writes a right one.")
    return tuple(keys.values())


def add(path: Path, name: str, rate: float = 0.0) -> str:
    """Make a key, write its hash into the file, which need not exist, and return the key: it is kept nowhere."""
    if not _NAME.fullmatch(name):
        raise KeysError(f"{name!r} cannot be a name: letters, digits, dots, dashes and underscores, 64 at most.")
    key = PREFIX + secrets.token_urlsafe(32)
    with _changing(path) as lines:
        if any(there.name == name for there in _parse(path, "\n".join(lines))):
            raise KeysError(f"There is a key {name} already. To replace it, add one of another name, then remove it.")
        lines.append(Key(name, digest(key), rate).line())
    return key


def remove(path: Path, name: str) -> None:
    """Take a key out of the file; other lines stay as they are. Raises KeysError where there is none of that name."""
    with _changing(path) as lines:
        kept = [line for line in lines if line.partition("#")[0].split()[:1] != [name]]
        if len(kept) == len(lines):
            raise KeysError(f"There is no key {name} in {path}. kiln keys list shows those that there are.")
        lines[:] = kept


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[list[str]]:
    """The lines of the file, to be changed; one process at a time, and readers see the old file or the new one."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        yield lines
        made = path.with_name(f".{path.name}.new")
        made.unlink(missing_ok=True)
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
            _take_over_owner(path if path.exists() else path.parent, file.fileno(), path.exists())
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
        os.fsync(folder)
    except OSError as fault:
        fault.filename = fault.filename or str(path)  # what writes, such as to a full disk, names none
        raise
    finally:
        os.close(folder)


def _take_over_owner(model: Path, file: int, replaces: bool) -> None:
    """Owner, group and mode of the file that is replaced; of a new one the group of its folder, as far as allowed."""
    seen = model.stat()
    with contextlib.suppress(PermissionError):
        os.fchown(file, seen.st_uid if replaces else -1, seen.st_gid)
    os.fchmod(file, seen.st_mode & 0o777 if replaces else _MODE)
