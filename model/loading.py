"""A version folder -> a model that is proven in this process. What takes time, and runs beside the requests."""

from __future__ import annotations

from pathlib import Path

from . import disk, engines, preprocess
from .errors import BundleError
from .versions import Model


def load(
    folder: Path, seen: disk.Stats, limits: preprocess.Limits, engine: str | None, loaded: Model | None = None
) -> Model:
    """Check every file, make the engine, run the golden inputs.

    seen: the bundle's files as they were when this was decided; a change until the end makes the result void.
    engine: its name; None takes the one that the bundle recommends.
    loaded: what was loaded from this folder before; it is kept when the files still are those that it was made of.
    Raises BundleError, EngineMissing, or whatever an engine raises on a file that it cannot read.
    """
    bundle = disk.read(folder)
    for file in disk.files(bundle):
        bundle.check_file(file)
    if loaded is None or loaded.bundle != bundle:
        name = engine or bundle.default_engine
        made = engines.load(name, folder / bundle.engine_file(name).name)
        bundle.prove(made)
        loaded = Model(bundle, name, made, limits)
    if disk.of_bundle(disk.stats(folder), bundle) != seen:
        raise BundleError(f"{folder} changed while it was checked. It is tried again when it rests.")
    return loaded
