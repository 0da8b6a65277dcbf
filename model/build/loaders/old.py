"""Models of Keras 1 and 2: a configuration as it was written then, and weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras.src.legacy.saving import saving_options, saving_utils
from keras.src.saving.serialization_lib import SafeModeScope

from ..source import Source, of_keras
from . import contents, keras_1, old_config, old_functions, old_ops, places

Assign = Callable[[keras.Model], None]


def load(config: dict[str, Any], assign: Assign, version: str, file: Path, *, allow_unsafe: bool) -> Source:
    """Make the model as Keras `version` wrote it down, and give it its weights.

    config: {"class_name": ..., "config": ...}. assign: gives a model its weights. Raises BuildError.
    """
    unsafe = contents.has_code(config)
    if unsafe and not allow_unsafe:
        raise contents.code_refused(file)
    old_keras = version.split(".")[0] in ("1", "2")
    custom: dict[str, Any] = {}
    if old_keras:
        with contents.reasons(file, version):
            if version.startswith("1"):
                config = keras_1.renewed(config)
            config = old_config.upgraded(config, file)
        custom = {"old_hard_sigmoid": old_hard_sigmoid} if old_config.has_hard_sigmoid(config) else {}
        kinds = {entry["class_name"] for entry in contents.walk(config)}
        layers = old_functions.LAYERS | old_ops.LAYERS
        custom |= {name: made for name, made in layers.items() if name in kinds}
    places.place(config, operations=not old_keras)
    legacy = saving_options.keras_option_scope(use_legacy_config=True)
    with contents.reasons(file, version), legacy, SafeModeScope(not unsafe), keras.saving.custom_object_scope(custom):
        model = saving_utils.model_from_config(config, custom_objects=custom)
    model = contents.built(model, file)
    with contents.reasons(file, version):
        assign(model)
    return of_keras(model, graph_only=unsafe or bool(custom))


def old_hard_sigmoid(values: Any) -> Any:
    """As Keras 1 and 2 had it; Keras 3's has another slope (1/6), and the same weights would give other answers.

    Its name is its own: Bidirectional makes its layers again, and finds functions by their names.
    """
    return keras.ops.clip(0.2 * values + 0.5, 0.0, 1.0)
