"""What every loader of Keras models asks of their content."""

from __future__ import annotations

import contextlib
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from ..errors import BuildError, reason

_BYTECODE = re.compile(r"marshal|EOF read where")  # what Python says of code that another one compiled
_MISSING = re.compile(
    r"(?:Could not locate (?P<kind>class|function|object)|Unknown (?P<old>[\w ]+?):) '(?P<name>[^']+)'"
)

_PYTHON = ".".join(platform.python_version_tuple()[:2])


def walk(config: Any) -> Iterator[dict[str, Any]]:
    """Every object with a class in a Keras configuration, outermost first."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str):
            yield config
        for value in config.values():
            yield from walk(value)
    elif isinstance(config, list):
        for value in config:
            yield from walk(value)


def has_code(config: Any) -> bool:
    """Whether Python code is part of the file: a Lambda layer or a lambda function."""
    return any(entry["class_name"] in ("Lambda", "__lambda__") for entry in walk(config))


def code_refused(file: Path) -> BuildError:
    """For a file with code, without the user's word that it may run."""
    return BuildError(
        f"{file} holds Python code in a Lambda layer, which would run here. If you trust the file, add --allow-unsafe; "
        "the bundle then holds the graph and no code."
    )


@contextlib.contextmanager
def reasons(file: Path, version: str = "") -> Iterator[None]:
    """Turn what Keras raises on a file that it cannot load into a BuildError that says what to do.

    version: of the Keras that wrote the file, "2.2.4-tf" for one; of today's by default.
    """
    try:
        yield
    except BuildError:
        raise
    except Exception as fault:  # Keras raises many kinds, and h5py and user data more
        text = str(fault)
        missing = _MISSING.search(text)
        if missing:
            what = missing["old"] or missing["kind"]
            raise BuildError(
                f"{file} needs the {what} {missing['name']!r}, which Keras {keras.__version__} does not have and whose "
                f"code is not in the file. Where that code is, export the model's graph, {_export(version)}, and build "
                "the folder."
            ) from fault
        if _BYTECODE.search(text):
            raise BuildError(
                f"{file} holds a Lambda layer's code as another Python compiled it, and Python {_PYTHON} cannot read "
                f"it. Where the file was made, export the model's graph, {_export(version)}, and build the folder; or "
                "make the model there without Lambda layers, and save it again."
            ) from fault
        raise BuildError(
            f"{file} cannot be loaded by Keras {keras.__version__}: {reason(fault)} If Keras loads it where it was "
            f"made, export its graph there, {_export(version)}, and build the folder."
        ) from fault


def _export(version: str) -> str:
    """How the Keras that wrote a file makes a SavedModel, in a few words."""
    parts = [int(part) for part in re.findall(r"\d+", version)[:2]] or [3]
    if parts < [2, 4] and not version.endswith("-tf"):
        return (
            "with TensorFlow as its backend: keras.backend.set_learning_phase(0), load the model, "
            "tf.saved_model.simple_save(keras.backend.get_session(), 'folder', {'input': model.input}, "
            "{'output': model.output})"
        )
    return "tf.saved_model.save(model, 'folder')" if parts < [2, 13] else "model.export('folder')"


def built(model: keras.Model, file: Path) -> keras.Model:
    """The model, when its inputs and outputs are known. Raises BuildError."""
    with contextlib.suppress(AttributeError, ValueError):
        if model.inputs and model.outputs:
            return model
    raise BuildError(
        f"{file} does not say what the model's inputs are. Call it once before saving, or start it with keras.Input."
    )
