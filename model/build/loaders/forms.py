"""What a file is: by what it begins with, whatever it is called."""

from __future__ import annotations

import enum
import zipfile
from pathlib import Path

import h5py

from ..errors import BuildError


class Form(enum.Enum):
    """The forms of files and folders that are taken."""

    SAVED_MODEL = enum.auto()
    ARCHIVE = enum.auto()
    HDF5 = enum.auto()
    ARCHITECTURE = enum.auto()


# Of what begins as none of them does: it is damaged, and its loader says so.
_BY_ENDING = {".keras": Form.ARCHIVE, ".h5": Form.HDF5, ".hdf5": Form.HDF5, ".json": Form.ARCHITECTURE}
_YAML = (".yaml", ".yml")
_JSON = (b"{", b'"')  # the latter where it was encoded twice
_BEGINNING = 64  # bytes


def of(file: Path) -> Form:
    """The form of a file or folder. Raises BuildError where there is none that is taken."""
    if not file.exists():
        raise BuildError(f"{file} does not exist.")
    if file.is_dir():
        return Form.SAVED_MODEL
    if file.stat().st_size == 0:
        raise BuildError(f"{file} is empty. Copy it again.")
    found = _by_content(file) or _BY_ENDING.get(file.suffix.lower())
    if found is None and file.suffix.lower() in _YAML:
        raise BuildError(
            f"{file} is YAML, which is not taken. Write the architecture as JSON with the Keras that made it: "
            "model.to_json(), of the model or of keras.models.model_from_yaml(text)."
        )
    if found is None:
        raise BuildError(
            f"{file} is of no form that is taken: a .keras or .h5 file, an architecture .json with --weights, "
            "a SavedModel folder, or keras.applications:NAME."
        )
    return found


def _by_content(file: Path) -> Form | None:
    try:
        if h5py.is_hdf5(file):
            return Form.HDF5
        if zipfile.is_zipfile(file):
            return Form.ARCHIVE
        with file.open("rb") as content:
            beginning = content.read(_BEGINNING)
    except OSError as fault:
        raise BuildError(f"{file} cannot be read: {fault}") from fault
    return Form.ARCHITECTURE if beginning.lstrip().startswith(_JSON) else None
