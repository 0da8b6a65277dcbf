""".keras files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras

from ..errors import BuildError
from ..source import Source, of_keras
from . import contents


def load(file: Path, *, allow_unsafe: bool) -> Source:
    """Load a .keras file. Raises BuildError when it is damaged, or needs code that is not here."""
    config = _config(file)
    unsafe = contents.has_code(config)
    if unsafe and not allow_unsafe:
        raise contents.code_refused(file)
    with contents.reasons(file):
        model = keras.models.load_model(file, compile=False, safe_mode=not unsafe)
    return of_keras(contents.built(model, file), graph_only=unsafe)


def _config(file: Path) -> Any:
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
            if damaged:
                raise BuildError(f"{file} is damaged at {damaged}. Copy it again.")
            return json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError) as fault:
        raise BuildError(
            f"{file} is no .keras file, or is damaged or cut off. Copy it again, or save it with model.save()."
        ) from fault
