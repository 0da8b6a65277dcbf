"""One version folder as this process knows it: what lies there, whether it may be loaded, and what was loaded."""

from __future__ import annotations

import time
import weakref
from pathlib import Path

from . import disk, memory
from .errors import BundleError, ModelError
from .versions import Model, State, Version

LOOKS_TO_COPY = 10  # without a change; until then an incomplete folder is taken for one that is being copied
_MOST_LOOKS = 3  # that a folder must rest after several failures; the next try is then due
_FIRST_RETRY, _LAST_RETRY = 5.0, 300.0  # seconds after a failure that is not the bundle's


class Slot:
    """The state of one version. Not safe for threads: its shelf's lock guards it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model: Model | None = None
        self.loading = False
        self._there = True
        self._files: disk.Stats = {}
        self._seen: disk.Stats = {}  # those of them that make the bundle
        self._rested = 0  # looks since it last changed
        self._unreadable = ""  # why the folder cannot be looked into; what was seen before is kept
        self._incomplete = ""  # which of its files are not there, or not whole
        self._tried: disk.Stats | None = None  # what the last try saw, whether it failed or not
        self._failure = ""  # of that try
        self._failures = 0  # in a row
        self._retry_at = float("inf")
        self._leaving: weakref.ref[Model] | None = None
        self._engine = ""  # of the model that leaves

    @property
    def number(self) -> str:
        """The version."""
        return self.folder.name

    @property
    def there(self) -> bool:
        """Is it in the store?"""
        return self._there

    def look(self, *, there: bool) -> None:
        """See whether the folder has changed. Cheap while it has not."""
        self._there = there
        try:
            files, self._unreadable = disk.stats(self.folder) if there else {}, ""
        except OSError as fault:  # of this version alone: the others, and what is declared, are followed
            self._unreadable = disk.why_unreadable(fault, self.folder, self.folder.parent.parent)
            return
        if files == self._files and files:
            self._rested += 1
            return
        self._files, before, self._incomplete = files, self._seen, ""
        try:
            bundle = disk.read(self.folder)
            self._seen = disk.of_bundle(files, bundle)
            disk.check_sizes(bundle, files)
        except BundleError as error:
            self._seen, self._incomplete = files, disk.named_within(self.folder.parent.parent, error.message)
        self._rested = self._rested + 1 if self._seen == before else 0

    @property
    def usable(self) -> bool:
        """Loaded, or worth trying. What is unreadable, is incomplete or has failed is not, until it changes."""
        return self.model is not None or (self._there and not self._barred and not self._failed)

    @property
    def due(self) -> bool:
        """Is it to be tried now? After a failure it must rest first: a copy under way is not to be hashed for ever."""
        if self.loading or self._barred or not self._there:
            return False
        if self._tried == self._seen and not self._retry:
            return self.model is None and not self._failure
        return self._rested >= min(self._failures, _MOST_LOOKS)

    @property
    def _barred(self) -> str:
        """Why it cannot be tried as it is."""
        return self._unreadable or self._incomplete

    @property
    def _failed(self) -> bool:
        return bool(self._failure) and self._tried == self._seen and not self._retry

    @property
    def _retry(self) -> bool:
        return time.monotonic() >= self._retry_at

    def begin(self) -> disk.Stats:
        """A try starts. Returns what it shall see."""
        self.loading, self._tried = True, self._seen
        return self._seen

    def succeed(self, model: Model) -> None:
        """The try ended with a model."""
        self.loading, self.model = False, model
        self._failure, self._failures, self._retry_at = "", 0, float("inf")

    def fail(self, error: Exception) -> None:
        """The try failed; a model that was loaded before stays."""
        self.loading = False
        self._failures += 1
        self._retry_at = float("inf")
        if isinstance(error, ModelError):
            self._failure = disk.named_within(self.folder.parent.parent, error.message)
        else:
            self._failure = f"{type(error).__name__} while loading; see the log."
            self._retry_at = time.monotonic() + min(_FIRST_RETRY * 2 ** (self._failures - 1), _LAST_RETRY)

    def unload(self) -> None:
        """Let go of the model; requests that hold it finish."""
        if self.model is not None:
            self._leaving, self._engine, self.model = weakref.ref(self.model), self.model.engine_name, None

    @property
    def leaving(self) -> bool:
        """Was it unloaded, and its memory not yet given back?"""
        return self._leaving is not None

    def leave(self) -> None:
        """Give back the memory of an unloaded model once no request holds it any more."""
        if self._leaving is not None and self._leaving() is None:
            self._leaving = None
            memory.give_back(self._engine)

    def version(self, name: str, unwanted: str) -> Version:
        """How it stands, for those who ask. unwanted: why it is not loaded if nothing is wrong with it; or empty."""
        trouble = self._barred or self._failure
        if self.model is not None and not self._there:
            return Version(name, self.number, State.AVAILABLE, "Removed; it answers until another can.", self.model)
        if self.model is not None:
            kept = f"The build loaded before stays: {trouble}" if trouble else ""
            return Version(name, self.number, State.AVAILABLE, kept, self.model)
        if self.leaving:
            return Version(name, self.number, State.UNLOADING, "Waiting for its last requests.")
        if self.loading:
            return Version(name, self.number, State.LOADING, "Checking and loading.")
        if self._incomplete and not self._unreadable and self._rested < LOOKS_TO_COPY:
            return Version(name, self.number, State.START, self._incomplete)
        if trouble or unwanted:
            return Version(name, self.number, State.END, trouble or unwanted, failed=bool(trouble))
        return Version(name, self.number)
