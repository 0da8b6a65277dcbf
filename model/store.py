"""The store: a folder of bundles, `<name>/<version>/`, and the models of it that this process serves.

The folder is the truth. A process looks at it again and again, loads what is new, and unloads what is no longer
wanted; nobody has to tell it. See serving.py for what can be declared beside the versions.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from . import disk, loading, memory, preprocess, serving
from .errors import ModelError, UnknownModel
from .loading import OnBatch, Tuning
from .pace import Pace
from .shelf import Shelf
from .slot import Slot
from .table import Table
from .versions import Model, State, Version

__all__ = ["Model", "State", "Store", "Tuning", "Version"]

LOOK_SECONDS = 1.0
logger = logging.getLogger("kiln.store")


def _level(version: Version) -> int:
    """How much an operator has to care."""
    if version.failed:
        return logging.ERROR
    nothing_there, holds_on = not version.version, version.state is State.AVAILABLE and version.reason
    return logging.WARNING if nothing_there or holds_on else logging.INFO


class Store:
    """Holds the models of one process. Made after fork; `get` and all that only tells may be called by any thread.

    default: the model meant by whoever names none. models: the names to serve; empty takes all in the store.
    engine: the engine's name; None takes the one that each bundle recommends. tuning: how engines run.
    on_change: called with each version whose state, reason or model is new, in the thread that changed it.
    on_load: called after each try to load with name, version, seconds and "available" or "failed".
    on_batch: called with name, version, engine and instances of each call of an engine that gathers.
    """

    def __init__(
        self,
        folder: Path,
        limits: preprocess.Limits,
        *,
        default: str,
        models: Collection[str] = (),
        engine: str | None = None,
        tuning: Tuning = Tuning(),  # noqa: B008  it is frozen
        on_change: Callable[[Version], None] = lambda version: None,
        on_load: Callable[[str, str, float, str], None] = lambda name, version, seconds, outcome: None,
        on_batch: OnBatch = lambda name, version, engine, instances: None,
    ) -> None:
        self.default = default
        self._folder = folder
        self._limits = limits
        self._models = tuple(models)
        self._engine = engine
        self._tuning = tuning
        self._on_change, self._on_load, self._on_batch = on_change, on_load, on_batch
        self._tables: Mapping[str, Table] = {}  # replaced as a whole, never changed: readers need no lock
        self._plain: Mapping[str, Model] = {}  # name -> the one answer to whoever names nothing else
        self._shelves: dict[str, Shelf] = {}
        self._lock = threading.Lock()  # of the shelves; never held while a model loads
        self._problem = ""  # why the folder cannot be read
        self._closed = threading.Event()
        self._settled = threading.Event()

    # --- Asking -----------------------------------------------------------------------------------------------------

    def get(self, name: str = "", version: str | None = None, label: str | None = None, client: str = "") -> Model:
        """The model to answer with.

        With neither version nor label: the canary split if there is one, where the client decides, the same one always
        alike; else the version with label `stable`; else the newest AVAILABLE one. A version goes before a label.
        Raises UnknownModel, UnknownVersion or, with the reason, ModelNotReady.
        """
        if version is None and label is None and (model := self._plain.get(name)) is not None:
            return model
        return self._table(name or self.default).get(version, label, client)

    def gathers(self) -> bool:
        """Does the default model answer several requests at once better than one after the other?"""
        model = self._plain.get("")
        return model is not None and model.gathers

    def names(self) -> list[str]:
        """The models that are served."""
        return sorted(self._tables)

    def versions(self, name: str | None = None) -> list[Version]:
        """Every version that this process knows of, of one model or of all, newest first. Raises UnknownModel."""
        tables = self._tables
        names = sorted(tables) if name is None else [name]
        return [version for each in names for version in self._table(each, tables).versions]

    def labels(self, name: str) -> dict[str, str]:
        """label -> the version that answers for it. Raises UnknownModel."""
        return dict(self._table(name).labels)

    def split(self, name: str) -> dict[str, int]:
        """version or label -> percent of the clients; {} without a canary. Raises UnknownModel."""
        return dict(self._table(name).serving.split)

    def problem(self, name: str) -> str:
        """Why the model's serving.json is not in force, or not all of it; empty when it is. Raises UnknownModel."""
        return self._table(name).problem

    def unready(self) -> dict[str, str]:
        """Model -> why this process should get no requests yet; {} when it should.

        The default model, and each one that was named, must have a version that answers, unless it was unloaded. Others
        keep a process from being ready only while it starts: what is dropped into the store later takes no worker out
        of service.
        """
        needed = {self.default, *self._models}
        found = {}
        for name, table in self._tables.items():
            if table.default is None and table.serving.served:
                starting = any(version.state in (State.START, State.LOADING) for version in table.versions)
                if name in needed or (starting and not self._settled.is_set()):
                    found[name] = table.reason
        return found if self._tables else {self.default: "The store has not been read yet."}

    # --- Changing ---------------------------------------------------------------------------------------------------

    def declare(self, name: str, *, served: bool) -> None:
        """Say in the store whether a model is served at all; this process follows as every other does.

        Raises UnknownModel, BadServing where its serving.json is not right, OSError where it cannot be written.
        """
        if not any(version.version for version in self._table(name).versions):
            raise UnknownModel(f"There is no model {name!r} in the store.")
        serving.change(self._folder / name, lambda before: before._replace(served=served))

    def load(self) -> None:
        """Bring this process to what the store says, in this thread. Failures do not raise: versions tell them."""
        self._look()
        self._load_all()

    def watch(self, seconds: float = LOOK_SECONDS) -> None:
        """From now on follow the store, in threads of our own: one looks, and one at a time loads."""
        memory.keep_together()
        threading.Thread(target=self._follow, args=(seconds,), name="watch-store", daemon=True).start()

    def is_settled(self) -> bool:
        """Is all that was found first loaded, or has it failed?"""
        return self._settled.is_set()

    def wait(self, seconds: float) -> bool:
        """Until all that was found first is loaded or has failed, but no longer than so many seconds; is it?

        The last step of a start: what it left behind is given back, 1 MB of a worker.
        """
        settled = self._settled.wait(seconds)
        memory.give_back()
        return settled

    def close(self) -> None:
        """Follow the store no more."""
        self._closed.set()

    def _follow(self, seconds: float) -> None:
        loader: threading.Thread | None = None
        pause = seconds * random.random()  # noqa: S311  workers must not all load at the same time
        while not self._closed.is_set():
            try:
                if self._look() and (loader is None or not loader.is_alive()):
                    loader = threading.Thread(target=self._load_all, name="load-models", daemon=True)
                    loader.start()
            except Exception:  # whatever the disk does, the watch goes on
                logger.exception("the store could not be read")
            self._closed.wait(pause)
            pause = seconds

    def _look(self) -> bool:
        """Compare with the disk. Is there something to load?"""
        with self._lock:
            served = self._served()
            for name in served:
                self._shelves.setdefault(name, Shelf(self._folder, name))
            if not self._problem or not any(shelf.slots for shelf in self._shelves.values()):
                for shelf in self._shelves.values():
                    shelf.look()
            self._publish()
            for name in [name for name, shelf in self._shelves.items() if name not in served and not shelf.slots]:
                del self._shelves[name]
                self._publish()
            due = self._due() is not None
            if not due and not any(shelf.loading for shelf in self._shelves.values()):
                self._settled.set()
            return due

    def _served(self) -> list[str]:
        """The names to serve. The default model comes first, and so is loaded first."""
        found, problem = list(self._shelves), ""
        try:
            found = disk.names(self._folder)
        except OSError as fault:  # a disk that went away is not a store that was emptied
            problem = f"the store: {fault.filename or self._folder} cannot be read: {fault.strerror or fault}"
        if problem and problem != self._problem:
            logger.error("%s", problem)
        self._problem = problem
        return list(dict.fromkeys((self.default, *(self._models or found))))

    def _due(self) -> Slot | None:
        slots = (shelf.next_due() for shelf in self._shelves.values())
        return next((slot for slot in slots if slot is not None), None)

    def _load_all(self) -> None:
        """Load what is due, one version after the other."""
        while True:
            with self._lock:
                slot = self._due()
                if slot is None:
                    self._settled.set()
                    return
                seen = slot.begin()
                self._publish()
            self._load(slot, seen)

    def _load(self, slot: Slot, seen: disk.Stats) -> None:
        """Not under the lock: this is what takes time."""
        outcome: Model | Exception
        began = time.monotonic()
        try:
            outcome = loading.load(
                slot.folder,
                seen,
                self._limits,
                self._engine,
                self._tuning,
                loaded=slot.model,
                on_batch=self._on_batch,
                pace=Pace(busy=self.is_settled),  # before that it was not ready: nobody asks
            )
        except ModelError as error:
            outcome = error
        except Exception as error:  # an engine may raise anything on a file that it cannot read
            logger.exception("%s could not be loaded", slot.folder)
            outcome = error
        took, told = time.monotonic() - began, "available" if isinstance(outcome, Model) else "failed"
        self._on_load(slot.folder.parent.name, slot.number, took, told)
        with self._lock:
            if isinstance(outcome, Model):
                slot.succeed(outcome)
            else:
                slot.fail(outcome)
            del outcome  # what it holds must not outlive the next change
            self._publish()

    def _publish(self) -> None:
        """Put in force what the shelves say, at once for all readers, and tell of what is new."""
        self._show({name: shelf.settle() for name, shelf in self._shelves.items()})
        if any(shelf.leaving for shelf in self._shelves.values()):
            # Nothing of ours holds the old models any more; unless a request does, they are gone by now.
            self._show({name: shelf.settle() for name, shelf in self._shelves.items()})

    def _show(self, tables: dict[str, Table]) -> None:
        plain = {name: table.default for name, table in tables.items() if table.default and not table.split}
        if self.default in plain:
            plain[""] = plain[self.default]
        before = {(version.name, version.version): version for version in self._all(self._tables)}
        self._tables, self._plain = tables, plain
        # What answers from now on is told first, then what it took over from.
        for version in sorted(self._all(tables), key=lambda version: version.state is not State.AVAILABLE):
            old = before.pop((version.name, version.version), None)
            if old is None or (old.state, old.reason, old.model) != (version.state, version.reason, version.model):
                self._tell(version)
        for name, number in before:
            self._tell(Version(name, number, State.END, "It is no longer in the store."))

    def _tell(self, version: Version) -> None:
        level, said = _level(version), f"{version.state}: {version.reason}" if version.reason else version.state
        where = f" (store: {self._folder})" if level > logging.INFO else ""
        logger.log(level, "model %s version %s: %s%s", version.name, version.version or "(none)", said, where)
        self._on_change(version)

    @staticmethod
    def _all(tables: Mapping[str, Table]) -> list[Version]:
        return [version for table in tables.values() for version in table.versions]

    def _table(self, name: str, tables: Mapping[str, Table] | None = None) -> Table:
        table = (self._tables if tables is None else tables).get(name)
        if table is None:
            raise UnknownModel(f"There is no model {name!r} here. There is: {', '.join(self.names()) or 'none'}.")
        return table
