"""What runs the numbers. One file an engine, all behind the contract below."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from .. import extras
from ..errors import EngineMissing

# What comes after the hyphen says how the weights are stored, or what the file does with them; the engine is the same.
NAMES = ("litert", "onnx", "keras", "litert-winograd", "litert-int8", "litert-float16")
_PACKAGES = {"litert": "ai_edge_litert", "onnx": "onnxruntime", "keras": "tensorflow"}
_EXTRA = "keras"  # the packages of the others belong to serving


class Engine(Protocol):
    """A loaded model. Made once in each worker, after fork; safe to call from several threads."""

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Every output for every input, both in the bundle's order; the first axis is the batch, n >= 1.

        The dtypes and the rest of the shapes are those that the bundle declares.
        """
        ...


@runtime_checkable
class _Slimming(Protocol):
    def slim(self) -> bool: ...


def load(name: str, file: Path, threads: int = 1) -> Engine:
    """Load the engine called `name` on its compiled file, to run on so many threads.

    The engine's own package is imported here and nowhere else, so that the master process and serving
    machines without it never see it. Raises EngineMissing when there is no such engine or package.
    """
    if name not in NAMES:
        raise EngineMissing(f"There is no engine {name!r}. Choose one of {', '.join(NAMES)}.")
    try:
        module = importlib.import_module(f"{__name__}.{name.partition('-')[0]}")
    except ModuleNotFoundError as missing:
        raise EngineMissing(
            f"Engine {name!r} needs the package {missing.name!r}, which is not installed here. {install(name)} "
            "Or take another engine, if the bundle has one."
        ) from missing
    engine: Engine = module.load(file, threads)
    return engine


def slim(engine: Engine) -> bool:
    """Let go of what an engine has copied of its file and does not read again, where it can; whether it has.

    Prove it afterwards: that nothing reads it is the engine's library's word.
    """
    return isinstance(engine, _Slimming) and engine.slim()


def missing(name: str) -> str:
    """The package that the engine called `name` needs and this Python lacks; empty where it has it. Imports nothing."""
    package = _PACKAGES.get(name.partition("-")[0], "")
    return package if package and importlib.util.find_spec(package) is None else ""


def install(name: str) -> str:
    """What to do where the engine called `name` lacks its package, in a sentence."""
    if name == _EXTRA:
        return extras.install(name)
    return "Install requirements/serve.txt, or on a node: sudo deploy/image/provision.sh."
