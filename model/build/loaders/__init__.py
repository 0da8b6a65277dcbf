"""What users have, one file a form, to a Source."""

from __future__ import annotations

from pathlib import Path

from ..errors import BuildError
from ..source import Source
from . import application, architecture, forms, native, saved_model, theano, whole_h5
from .forms import Form

APPLICATION = "keras.applications:"


def load(path: str, weights: Path | None, *, allow_unsafe: bool, trained_with: str = "") -> Source:
    """Load a model of any form that is taken.

    path: a .keras file, an HDF5 file, an architecture's JSON, a SavedModel folder, or "keras.applications:NAME".
    weights: of the last and of a .json. allow_unsafe: run code that the file holds (Lambda layers).
    trained_with: what Keras 1 ran on, "theano" or "tensorflow", where its file does not tell.
    Raises BuildError saying what to do.
    """
    if path.startswith(APPLICATION):
        if trained_with:
            raise theano.option_refused(path)
        return application.load(path.removeprefix(APPLICATION), weights)
    file = Path(path)
    form = forms.of(file)
    if weights is not None and form is not Form.ARCHITECTURE:
        raise BuildError(f"--weights goes with an architecture .json or keras.applications:NAME, not with {file.name}.")
    if trained_with and form in (Form.SAVED_MODEL, Form.ARCHIVE):
        raise theano.option_refused(path)
    if form is Form.SAVED_MODEL:
        return saved_model.load(file)
    if form is Form.ARCHIVE:
        return native.load(file, allow_unsafe=allow_unsafe)
    if form is Form.ARCHITECTURE:
        weights = weights or architecture.weights_beside(file)
        return architecture.load(file, weights, allow_unsafe=allow_unsafe, trained_with=trained_with)
    beside = file.with_suffix(".json")
    if whole_h5.has_architecture(file):
        return whole_h5.load(file, allow_unsafe=allow_unsafe, trained_with=trained_with)
    if beside.is_file():
        return architecture.load(beside, file, allow_unsafe=allow_unsafe, trained_with=trained_with)
    raise BuildError(
        f"{file} holds weights alone. Give the architecture too: ./kiln build MODEL.json --weights {file.name} "
        "(model.to_json() writes it), or save the whole model with model.save()."
    )
