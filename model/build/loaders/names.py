"""Lists of names in HDF5 attributes."""

from __future__ import annotations

from typing import Any


def names(group: Any, attribute: str) -> list[str]:
    """A list that Keras wrote as one attribute, or as several numbered ones where it was too long for one."""
    if attribute in group.attrs:
        found = list(group.attrs[attribute])
    else:
        found, part = [], 0
        while f"{attribute}{part}" in group.attrs:
            found += list(group.attrs[f"{attribute}{part}"])
            part += 1
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]
