"""Large well-known networks: what the chosen engine gains over TensorFlow, and what the service takes from it.

As a program: `build STORE NAME` makes a bundle with random weights; `loop FOLDER ENGINE` runs an engine on one thread
and `pictures FOLDER ENGINE` decodes a JPEG each time before, as bare.py runs its loop.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import servers, wrk
from .bare import bare_loop, serve_lines
from .figures import Goal, Spread, ratio
from .processes import Failed, running
from .servers import PHOTO

if TYPE_CHECKING:
    from model.bundle import Bundle
    from model.engines import Engine

NAMES = ("MobileNetV2", "ResNet50")
_CONNECTIONS = 8  # enough for two workers; a queue of sixteen would wait for seconds
_WARM_UP = 1  # seconds
_LONGEST = 4  # seconds of a turn: there are ten in each round
_PROGRAM = [sys.executable, "-m", "loadtest.zoo"]


@dataclass
class Series:
    """Pictures a second of one network, one figure a round.

    tensorflow, engine: a warmed tf.function and the engine that the build chose, one process with one thread, tensors
    that are there already. engines: two such processes. bare: two that decode a JPEG each time. service: two workers,
    asked with that JPEG over HTTP.
    """

    chosen: str
    tensorflow: list[float] = field(default_factory=list)
    engine: list[float] = field(default_factory=list)
    engines: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    service: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def goals(self, name: str) -> list[Goal]:
        """What is wanted of it."""
        found = [Goal(f"{name}: {self.chosen} / tf.function", self._ratio("engine", "tensorflow"), 1.5, at_least=True)]
        if self.service:
            left = self._ratio("service", "engines")
            found.append(Goal(f"{name}: service / {self.chosen}", left, 0.9, at_least=True))
            bare = self._ratio("service", "bare")
            found.append(Goal(f"{name}: service / decoding and {self.chosen}", bare, 0.97, at_least=True))
        return found

    def _ratio(self, above: str, below: str) -> Spread:
        return ratio(Spread(tuple(getattr(self, above))), Spread(tuple(getattr(self, below))))

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)


def measure(rounds: int, seconds: int, tell: Callable[[str], None]) -> dict[str, Series]:
    """Build each network and let its contestants run in turns."""
    with tempfile.TemporaryDirectory(prefix="kiln-zoo-") as folder:
        return {name: _measured(Path(folder), name, rounds, seconds, tell) for name in NAMES}


def build(store: Path, name: str) -> None:
    """Make a bundle, version 1, in a process of its own: TensorFlow never leaves one. Raises Failed."""
    with running([*_PROGRAM, "build", str(store), name], {}) as program:
        if program.process.wait():
            program.check()


def _measured(store: Path, name: str, rounds: int, seconds: int, tell: Callable[[str], None]) -> Series:
    tell(f"building {name}")
    build(store, name)
    bundle = store / name / "1"
    series = Series(_chosen(bundle))
    with ExitStack() as stack:
        tell(f"starting {name}")
        tensorflow = stack.enter_context(bare_loop(1, [*_PROGRAM, "loop", str(bundle), "keras"]))
        engines = stack.enter_context(bare_loop(2, [*_PROGRAM, "loop", str(bundle), series.chosen]))
        bare = stack.enter_context(bare_loop(2, [*_PROGRAM, "pictures", str(bundle), series.chosen]))
        turns: dict[str, Callable[[int], float]] = {
            "tensorflow": lambda length: tensorflow.run(length)[0],
            "engine": lambda length: engines.run(length, 1)[0],
            "engines": lambda length: engines.run(length)[0],
            "bare": lambda length: bare.run(length)[0],
        }
        if wrk.available():
            server = stack.enter_context(servers.kiln(store=store, model=name, expected='"label"', patient=True))
            turns["service"] = lambda length: _served(server, length, series)
        for turn in turns.values():
            turn(_WARM_UP)
        for number in range(1, rounds + 1):
            for contestant, turn in turns.items():
                tell(f"{name}, round {number} of {rounds}: {contestant}")
                getattr(series, contestant).append(turn(min(seconds, _LONGEST)))
    return series


def _served(server: servers.Server, seconds: int, series: Series) -> float:
    result = wrk.run(server.url, PHOTO, seconds, _CONNECTIONS)
    server.program.check()
    server.program.settle()
    if result.fault:
        series.faults.append(result.fault)
    return result.per_second


def _chosen(folder: Path) -> str:
    from model import bundle

    if not (folder / bundle.MANIFEST).is_file():
        raise Failed(f"{folder} was not built.")
    return bundle.read(folder).default_engine


def _build(store: str, name: str) -> None:
    import keras

    from model import families
    from model.build import assemble
    from model.build.source import of_keras

    source = of_keras(getattr(keras.applications, name)(weights=None), application=name)
    how = families.complete(families.of_application(name), source.inputs[0].shape)
    labels = tuple(f"class {number}" for number in range(source.outputs[0].shape[-1] or 0))
    assemble.build(source, assemble.Request(Path(store), name, "1", labels, how))


def _loop(folder: str, name: str) -> None:
    engine, bundle = _loaded(folder, name)
    tensor = bundle.golden_tensors()[0][0][:1]
    serve_lines(lambda: engine(tensor))


def _pictures(folder: str, name: str) -> None:
    from model.preprocess import Limits, to_tensor

    engine, bundle = _loaded(folder, name)
    how, photo, limits = bundle.preprocessing, PHOTO.read_bytes(), Limits()
    assert how is not None
    serve_lines(lambda: engine(to_tensor(photo, how, limits)[None]))


def _loaded(folder: str, name: str) -> tuple[Engine, Bundle]:
    from model import bundle, engines

    found = bundle.read(Path(folder))
    return engines.load(name, found.folder / found.engine_file(name).name, threads=1), found


if __name__ == "__main__":
    {"build": _build, "loop": _loop, "pictures": _pictures}[sys.argv[1]](*sys.argv[2:])
