""".keras files, of Keras 3 and 2."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras

from ..errors import BuildError
from ..source import Source, of_keras
from . import contents, old

WEIGHTS = "model.weights.h5"


def load(file: Path, *, allow_unsafe: bool) -> Source:
    """Load a .keras file. Raises BuildError when it is damaged, or needs code that is not here."""
    config, version = _read(file)
    if version.startswith("2."):
        return _load_old(file, config, version, allow_unsafe=allow_unsafe)
    unsafe = contents.has_code(config)
    if unsafe and not allow_unsafe:
        raise contents.code_refused(file)
    with contents.reasons(file), tempfile.TemporaryDirectory(prefix="kiln-") as folder:
        named = Path(folder) / "model.keras"  # Keras goes by the name
        named.symlink_to(file.resolve())
        model = keras.models.load_model(named, compile=False, safe_mode=not unsafe)
    return of_keras(contents.built(model, file), graph_only=unsafe)


def _load_old(file: Path, config: Any, version: str, *, allow_unsafe: bool) -> Source:
    """The architecture in the words of then; the weights are where Keras 3 has them, too."""
    with tempfile.TemporaryDirectory(prefix="kiln-") as folder, zipfile.ZipFile(file) as archive:
        if any(name.startswith("assets/") and not name.endswith("/") for name in archive.namelist()):
            raise BuildError(
                f"{file} is of Keras {version} and holds a vocabulary, which is not taken from there. Export the graph "
                "with the Keras that made the model (SavedModel), and build that folder."
            )
        with contents.reasons(file):
            weights = archive.extract(WEIGHTS, folder)
        return old.load(config, lambda model: model.load_weights(weights), version, file, allow_unsafe=allow_unsafe)


def _read(file: Path) -> tuple[Any, str]:
    """(the configuration, the version of Keras)."""
    try:
        with zipfile.ZipFile(file) as archive:
            if "config.json" not in archive.namelist():
                raise BuildError(
                    f"{file} is an archive without a Keras model (config.json). If one is within, unpack it and build "
                    "that."
                )
            damaged = archive.testzip()
            if damaged:
                raise BuildError(f"{file} is damaged at {damaged}. Copy it again.")
            metadata = json.loads(archive.read("metadata.json"))
            return json.loads(archive.read("config.json")), str(metadata["keras_version"])
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, OSError, EOFError) as fault:
        raise BuildError(
            f"{file} is no .keras file, or is damaged or cut off. Copy it again, or save it with model.save()."
        ) from fault
