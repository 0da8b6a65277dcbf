"""`use` and `remove`: the two changes of a store that are made by command."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from .. import serving
from ..errors import BundleError, ModelError
from ..serving import Serving
from . import shown


def use(store: Path, name: str, number: str, label: str) -> Serving:
    """Let a label name a version. Raises ModelError when there is no such version or it is not intact."""
    folder = shown.chosen(store, name, number)
    if not serving.is_label(label):
        raise ModelError(f"{label!r} is no label: a letter comes first, then letters, digits and . _ - follow.")
    found = shown.version(folder, Serving())
    if found["state"] != "intact":
        raise BundleError(f"{name} version {number} cannot be used: {found['reason']}")
    return serving.change(folder.parent, lambda before: before._replace(labels={**before.labels, label: number}))


def remove(store: Path, name: str, number: str, *, force: bool) -> None:
    """Delete a version, at once for whoever looks. Raises ModelError when a label or the split names it.

    force: take those names away, too.
    """
    folder = shown.chosen(store, name, number)
    declared = serving.read(folder.parent)
    if number in declared.named():
        labels = [key for key in dict.fromkeys((*declared.labels, *declared.split)) if declared.target(key) == number]
        if not force:
            raise ModelError(
                f"{name} version {number} is named by {', '.join(labels)}. Let them name another first "
                f"(kiln models use {name} VERSION --label {labels[0]}), or give --force."
            )
        serving.change(folder.parent, lambda before: _without(before, number))
    away = tempfile.mkdtemp(prefix=".removed-", dir=folder.parent)
    folder.rename(Path(away) / number)  # a folder that loses its files one by one would look damaged
    shutil.rmtree(away)


def _without(before: Serving, number: str) -> Serving:
    labels = {label: version for label, version in before.labels.items() if version != number}
    split = before.split if all(before.target(key) != number for key in before.split) else {}
    return before._replace(labels=labels, split=split)
