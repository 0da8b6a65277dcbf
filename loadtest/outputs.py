"""Where results are written: looked at before anything is measured, so that no long measurement is lost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from .processes import Failed


def check(files: Iterable[Path | None] = (), folders: Iterable[Path | None] = ()) -> None:
    """Makes nothing. folders: to be made where missing. None is not wanted. Raises Failed, with every problem, where
    one cannot be written."""
    problems = [f"{file} cannot be written: {why}" for file in files if file and (why := _file(file))]
    problems += [f"{folder} cannot be written to: {why}" for folder in folders if folder and (why := _folder(folder))]
    if problems:
        raise Failed(f"{'. '.join(problems)}.")


def write(file: Path, text: str) -> None:
    """Raises Failed where it cannot be written after all."""
    try:
        file.write_text(text)
    except OSError as fault:
        raise Failed(f"{file} cannot be written: {fault.strerror or fault}") from fault


def _file(file: Path) -> str:
    if file.is_dir():
        return "it is a folder; name a file in it"
    if not file.parent.is_dir():
        return f"there is no folder {file.parent}"
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        return "permission denied"
    return ""


def _folder(folder: Path) -> str:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        return f"{there} is a file; name a folder"
    return "" if os.access(there, os.W_OK | os.X_OK) else f"permission denied in {there}"
