"""Text in HDF5 attributes, which is bytes or not by the version that wrote it."""

from __future__ import annotations

from typing import Any

from ..errors import BuildError


def names(group: Any, attribute: str) -> list[str]:
    """A list that Keras wrote as one attribute, or as several numbered ones where it was too long for one."""
    if attribute in group.attrs:
        found = list(group.attrs[attribute])
    else:
        found, part = [], 0
        while f"{attribute}{part}" in group.attrs:
            found += list(group.attrs[f"{attribute}{part}"])
            part += 1
    return [text(name) for name in found]


def written(group: Any, attribute: str, default: str) -> str:
    """The text of one attribute. default: where there is none."""
    return text(group.attrs.get(attribute, default))


def text(value: Any) -> str:
    """What HDF5 gives as bytes or text, by the version that wrote it. Raises BuildError for anything else."""
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise BuildError(f"Text was expected in the file, and {type(value).__name__} found. The file may be damaged.")
    return value
