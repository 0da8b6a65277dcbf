"""An architecture's .json with weights in an .h5 file, as model.to_json() and model.save_weights() write them."""

from __future__ import annotations

import json
from pathlib import Path

import keras
from keras.src.saving.serialization_lib import SafeModeScope

from ..errors import BuildError
from ..source import Source, of_keras
from . import contents, names, old, old_weights, theano
from .whole_h5 import open_h5


def weights_beside(file: Path) -> Path:
    """The weights file of the same name. Raises BuildError when there is none."""
    for ending in (".h5", ".hdf5", ".weights.h5"):
        if file.with_suffix(ending).is_file():
            return file.with_suffix(ending)
    raise BuildError(f"{file} is an architecture alone. Give its weights: --weights FILE.h5")


def load(file: Path, weights: Path, *, allow_unsafe: bool, trained_with: str) -> Source:
    """Load both. Raises BuildError."""
    try:
        config = json.loads(file.read_bytes())
        if isinstance(config, str):  # json.dump(model.to_json(), file): encoded twice
            config = json.loads(config)
    except ValueError as fault:
        raise BuildError(f"{file} is no JSON, or is cut off. model.to_json() writes it.") from fault
    if not isinstance(config, dict) or "class_name" not in config or "config" not in config:
        raise BuildError(f"{file} is no Keras architecture. model.to_json() writes it.")
    if not weights.is_file():
        raise BuildError(f"{weights} does not exist.")
    with open_h5(weights) as content:
        named = "layer_names" in content.attrs or "layer_names0" in content.attrs
        if named or "model_weights" in content:
            version = names.text(config.get("keras_version", content.attrs.get("keras_version", "1")))
            assign = old_weights.of(content if named else content["model_weights"], trained_with)
            return old.load(config, assign, version, file, allow_unsafe=allow_unsafe)
    if trained_with:
        raise theano.option_refused(weights)
    return _load_today(file, config, weights, allow_unsafe=allow_unsafe)


def _load_today(file: Path, config: object, weights: Path, *, allow_unsafe: bool) -> Source:
    """Both as Keras 3 writes them."""
    unsafe = contents.has_code(config)
    if unsafe and not allow_unsafe:
        raise contents.code_refused(file)
    with contents.reasons(file), SafeModeScope(not unsafe):
        model = contents.built(keras.models.model_from_json(json.dumps(config)), file)
    with contents.reasons(weights):
        if weights.name.endswith(".weights.h5"):
            model.load_weights(weights)
        else:
            raise BuildError(f"{weights} is not named as Keras 3 names weights. Rename it to end in .weights.h5")
    return of_keras(model, graph_only=unsafe)
