"""A version folder -> a model that is proven in this process. What takes time, and runs beside the requests."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import disk, engines, preprocess
from .batching import Batcher
from .bundle import Bundle
from .errors import BundleError
from .pace import Pace
from .versions import Model

# Gathering is worth it where an instance in a batch costs at most this part of one alone.
_GAIN = 0.6
_PIECE = 256 * 1024  # bytes of golden inputs that an engine is asked at once

logger = logging.getLogger("kiln.store")

OnBatch = Callable[[str, str, str, int], None]  # name, version, engine, instances


class Tuning(NamedTuple):
    """How engines run. threads: of each. max_batch, batch_delay: see batching.py; 1 gathers nothing."""

    threads: int = 1
    max_batch: int = 1
    batch_delay: float = 0.0


def load(
    folder: Path,
    seen: disk.Stats,
    limits: preprocess.Limits,
    engine: str | None,
    tuning: Tuning,
    loaded: Model | None = None,
    on_batch: OnBatch = lambda name, version, engine, instances: None,
    pace: Pace | None = None,
) -> Model:
    """Check every file, make the engine, run the golden inputs.

    seen: the bundle's files as they were when this was decided; a change until the end makes the result void.
    engine: its name; None takes the one that the bundle recommends.
    loaded: what was loaded from this folder before; it is kept when the files still are those that it was made of.
    on_batch: told of each call of an engine that gathers. pace: of the steps; None goes as fast as it can.
    Raises BundleError, EngineMissing, or whatever an engine raises on a file that it cannot read.
    """
    pace = pace or Pace()
    bundle = disk.read(folder)
    for file in disk.files(bundle):
        bundle.check_file(file)
        pace.rest()
    if loaded is None or loaded.bundle != bundle:
        name = engine or bundle.default_engine
        made = _proven(bundle, name, tuning.threads, pace)
        if tuning.max_batch > 1 and gains(bundle, name):
            told = functools.partial(on_batch, bundle.name, bundle.version, name)
            made = Batcher(made, tuning.max_batch, tuning.batch_delay, on_batch=told)
        loaded = Model(bundle, name, made, limits)
    if disk.of_bundle(disk.stats(folder), bundle) != seen:
        raise BundleError(f"{folder} changed while it was checked. It is tried again when it rests.")
    return loaded


def _proven(bundle: Bundle, name: str, threads: int, pace: Pace) -> engines.Engine:
    """The engine, with no more memory than it needs, if it answers as well with that."""
    made = engines.load(name, bundle.folder / bundle.engine_file(name).name, threads)
    pace.rest()
    slimmed = engines.slim(made)
    try:
        bundle.prove(_in_pieces(made, pace), name)
    except Exception as failed:
        if not slimmed:
            raise
        reason = str(failed)
    else:
        return made
    del made  # before the next one takes its memory
    whole = engines.load(name, bundle.folder / bundle.engine_file(name).name, threads)
    pace.rest()
    bundle.prove(_in_pieces(whole, pace), name)
    logger.warning("%s answers only with its whole file in memory: %s", name, reason)
    return whole


def _in_pieces(engine: engines.Engine, pace: Pace) -> engines.Engine:
    """The engine, called for a picture, or for as many small instances as it takes at once, with a rest after each."""

    def run(*inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        count = len(inputs[0])
        size = max(1, _PIECE * count // max(1, sum(values.nbytes for values in inputs)))
        answers = []
        for start in range(0, count, size):
            answers.append(engine(*(values[start : start + size] for values in inputs)))
            pace.rest()
        return tuple(np.concatenate(values) for values in zip(*answers, strict=True))

    return run


def gains(bundle: Bundle, engine: str) -> bool:
    """Does this engine answer a batch of this model much faster than its instances one by one? By what the build
    measured; without that, by what is known of the engine: TensorFlow costs milliseconds for each call."""
    for candidate in bundle.candidates:
        times = candidate.milliseconds or {}
        if candidate.engine == engine and "1" in times and "16" in times:
            return times["16"] / 16 <= _GAIN * times["1"]
    return engine == "keras"
