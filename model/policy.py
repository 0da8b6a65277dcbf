"""Which versions of a model are kept loaded, besides those that a label names."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, NamedTuple

NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_NEWEST = re.compile(r"newest ([1-9][0-9]{0,3})", re.ASCII)
_HOW = 'versions must be "newest N", "all" or a list of versions like ["1", "3"]'


class Policy(NamedTuple):
    """newest: how many; None for all. listed: these and no others, in place of `newest`."""

    newest: int | None = 1
    listed: tuple[str, ...] | None = None

    @classmethod
    def from_json(cls, value: Any) -> Policy:
        """Read "newest N", "all" or a list of versions. Raises ValueError saying what is allowed."""
        if value == "all":
            return cls(newest=None)
        if isinstance(value, str) and (found := _NEWEST.fullmatch(value)):
            return cls(newest=int(found[1]))
        if isinstance(value, list) and value and all(is_number(item) for item in value):
            return cls(listed=tuple(value))
        raise ValueError(f"{_HOW}, not {value!r}")

    def to_json(self) -> str | list[str]:
        """The form kept in serving.json."""
        if self.listed is not None:
            return list(self.listed)
        return "all" if self.newest is None else f"newest {self.newest}"

    def __str__(self) -> str:
        shown = self.to_json()
        return shown if isinstance(shown, str) else f"versions {', '.join(shown)}"

    def wanted(self, numbers: Collection[str]) -> set[str]:
        """Those of the versions at hand that are to be loaded."""
        if self.listed is not None:
            return set(self.listed) & set(numbers)
        return set(newest_first(numbers)[: self.newest])


def is_number(value: Any) -> bool:
    """Is it a version: a decimal number as text, without leading zeros?"""
    return isinstance(value, str) and NUMBER.fullmatch(value) is not None


def newest_first(numbers: Collection[str]) -> list[str]:
    """Versions in the order of their numbers, the highest first."""
    return sorted(numbers, key=int, reverse=True)
