"""Imports in less time while the service starts: folders are listed once, and nothing is asked twice.

A start imports some 450 modules. For each of them Python makes up the names that its file might have, and asks of every
folder on the path whether it has changed. Here a module that is a source file with its byte code beside it, or a
package with an `__init__.py`, is found in a list of its folder and read at once; all else is left to Python's own
finders, which also take over when master or worker have started. A few modules of which a server needs nothing are left
empty. docs/performance.md (Start) has what that gains.

The rules are Python's own: https://docs.python.org/3/reference/import.html and PEP 3147.
"""

# Paths are text here: making a Path takes as long as what is saved.
# ruff: noqa: PTH116, PTH117, PTH123, PTH208

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import MAGIC_NUMBER, cache_from_source
from types import CodeType, ModuleType

_HEAD = MAGIC_NUMBER + bytes(4)  # of byte code that is good as long as its source has the same time and size
_SOURCE, _PACKAGE = ".py", "__init__.py"
_TAIL = cache_from_source("x.py").removeprefix("__pycache__/x") if sys.implementation.cache_tag else ""

# What they do when they are imported, and nobody needs here: write the descriptions that `help` shows; load the library
# of LiteRT's newer interface beside the one that has the interpreter, 2 MB in two workers.
NEEDLESS = frozenset({"ai_edge_litert", "numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars"})
_NOTHING = compile("", "<nothing>", "exec")


class Loader(SourceFileLoader):
    """Of one module. cached: where its byte code should lie."""

    def __init__(self, name: str, path: str, cached: str) -> None:
        super().__init__(name, path)
        self._cached = cached

    def get_code(self, fullname: str) -> CodeType | None:
        """Its byte code, where that is newer than no change of the source; else as Python does, which compiles it."""
        if fullname in NEEDLESS:
            return _NOTHING
        try:
            with open(self._cached, "rb", buffering=0) as file:
                data = file.read()
            source = os.stat(self.path)
        except OSError:
            return super().get_code(fullname)
        if data[:16] != _HEAD + _four(int(source.st_mtime)) + _four(source.st_size):
            return super().get_code(fullname)
        code = marshal.loads(memoryview(data)[16:])  # noqa: S302  what Python itself would load
        return code if isinstance(code, CodeType) else super().get_code(fullname)


def _four(number: int) -> bytes:
    return (number & 0xFFFFFFFF).to_bytes(4, "little")


class Finder:
    """Stands before Python's own on `sys.meta_path`, from `start` to `stop`."""

    def __init__(self) -> None:
        self._listings: dict[str, frozenset[str] | None] | None = None

    def start(self) -> None:
        """Look at the folders anew, from now on."""
        self._listings = {}
        if self not in sys.meta_path and PathFinder in sys.meta_path and _TAIL and not sys.pycache_prefix:
            sys.meta_path.insert(sys.meta_path.index(PathFinder), self)

    def stop(self) -> None:
        """Leave everything to Python: what is imported from now on may be written meanwhile.

        It stays where it is: another thread may be going through `sys.meta_path`.
        """
        self._listings = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module lies; None where Python's own finders are to say."""
        listings = self._listings
        if listings is None:
            return None
        name = fullname.rpartition(".")[2]
        for folder in sys.path if path is None else path:
            names = _names(listings, folder)
            if names is None:
                return None
            if name in names:
                inside = f"{folder}/{name}"
                if _PACKAGE not in (_names(listings, inside) or ()):
                    return None  # a namespace package, perhaps
                return _spec(fullname, inside, "__init__", [inside])
            if any(name + suffix in names for suffix in EXTENSION_SUFFIXES):
                return None
            if name + _SOURCE in names:
                return _spec(fullname, folder, name, None)
        return None


def _spec(fullname: str, folder: str, name: str, inside: list[str] | None) -> ModuleSpec:
    file, cached = f"{folder}/{name}{_SOURCE}", f"{folder}/__pycache__/{name}{_TAIL}"
    spec = ModuleSpec(fullname, Loader(fullname, file, cached), origin=file)
    spec.submodule_search_locations = inside
    spec.has_location = True
    spec.cached = cached
    return spec


def _names(listings: dict[str, frozenset[str] | None], folder: str) -> frozenset[str] | None:
    """What lies in a folder, none if it is not there; None for what is no folder by an absolute name."""
    if folder not in listings:
        try:
            listings[folder] = frozenset(os.listdir(folder)) if os.path.isabs(folder) else None
        except FileNotFoundError:
            listings[folder] = frozenset()
        except OSError:
            listings[folder] = None
    return listings[folder]


finder = Finder()
