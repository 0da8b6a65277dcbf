"""What a store holds, as plain data: what --json prints and the tables are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .. import disk, serving
from ..bundle import MANIFEST
from ..errors import BadServing, BundleError, UnknownModel, UnknownVersion
from ..policy import newest_first
from ..serving import STABLE, Serving


def model(store: Path, name: str) -> dict[str, Any]:
    """One model: its serving.json and every version, newest first. Raises UnknownModel.

    problem: why serving.json, or the whole folder, cannot be read, or what serving.json names and is not there.
    """
    folder = _folder(store, name)
    numbers: list[str] = []
    declared = Serving()
    try:
        numbers = newest_first(disk.versions(folder))
        declared = serving.read(folder)
        problem = declared.missing(numbers)
    except BadServing as error:
        problem = error.message
    except OSError as fault:
        problem = disk.why_unreadable(fault, folder, store)
    return {
        "name": name,
        "labels": declared.labels,
        "policy": str(declared.policy),
        "split": declared.split,
        "problem": problem,
        "versions": [version(folder / number, declared) for number in numbers],
    }


def version(folder: Path, declared: Serving) -> dict[str, Any]:
    """One version. Raises nothing: what is wrong is its reason.

    state: "intact" where every file has the checksum it was built with, which says nothing of its golden answers
    (`verify` asks for them), else "bad".
    """
    found: dict[str, Any] = {
        "version": folder.name,
        "state": "intact",
        "reason": "",
        "labels": sorted(label for label, number in declared.labels.items() if number == folder.name),
        "engine": "",
        "engines": [],
        "bytes": 0,
    }
    try:
        files = disk.stats(folder)
        found["bytes"] = sum(size for size, *_ in files.values())
        bundle = disk.read(folder)
        found.update(engine=bundle.default_engine, engines=sorted(bundle.engines))
        disk.check_sizes(bundle, files)
        for file in disk.files(bundle):
            bundle.check_file(file)
    except BundleError as error:
        found.update(state="bad", reason=error.message)
    except OSError as fault:
        found.update(state="bad", reason=disk.why_unreadable(fault, folder, folder.parents[1]))
    return found


def in_detail(store: Path, name: str, number: str) -> dict[str, Any]:
    """One version with its whole manifest. Raises UnknownModel or UnknownVersion."""
    folder = chosen(store, name, number)
    whole = model(store, name)
    [found] = [entry for entry in whole.pop("versions") if entry["version"] == folder.name]
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        manifest = None  # the reason says why
    return {**whole, **found, "folder": str(folder), "manifest": manifest}


def chosen(store: Path, name: str, number: str = "") -> Path:
    """The folder of a version; without a number, of the one that is served by default.

    Raises UnknownModel or UnknownVersion saying what there is.
    """
    folder = _folder(store, name)
    numbers = newest_first(disk.versions(folder))
    if not number:
        try:
            number = serving.read(folder).labels.get(STABLE, numbers[0])
        except BadServing:
            number = numbers[0]
    if number not in numbers:
        raise UnknownVersion(f"{name} has no version {number!r} in {store}. There is: {', '.join(numbers)}.")
    return folder / number


def _folder(store: Path, name: str) -> Path:
    names = disk.names(store)
    if name not in names:
        raise UnknownModel(f"There is no model {name!r} in {store}. There is: {', '.join(names) or 'none'}.")
    return store / name
