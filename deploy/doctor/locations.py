"""Which location nginx takes for a path, and who may come there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .nginx import Directive

_NAME = re.compile(r"(=|\^~|~\*|~|)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """A location with its access rules, its own or those that it inherits."""

    location: Directive
    rules: tuple[Directive, ...]


def access(block: list[Directive], inherited: tuple[Directive, ...]) -> tuple[Directive, ...]:
    """Who may come, in order. A level with rules of its own inherits none."""
    return tuple(one for one in block if one.name in ("allow", "deny")) or inherited


def name(location: Directive) -> tuple[str, str]:
    """(how it is compared: =, ^~, ~, ~* or nothing, the path or pattern); nginx takes both as one word, too."""
    found = _NAME.fullmatch("".join(location.arguments))
    return (found[1], found[2]) if found else ("", "")


def taking(block: list[Directive], path: str, rules: tuple[Directive, ...]) -> Place | None:
    """The location that nginx takes for a path: the exact one, the first pattern that fits, the longest prefix."""
    locations = [one for one in block if one.name == "location"]
    exact = [one for one in locations if name(one) == ("=", path)]
    if exact:
        return Place(exact[0], access(exact[0].block, rules))
    prefixes = [one for one in locations if is_prefix(one) and path.startswith(name(one)[1])]
    longest = max(prefixes, key=lambda one: len(name(one)[1]), default=None)
    inner = taking(longest.block, path, access(longest.block, rules)) if longest else None
    if inner and not is_prefix(inner.location):
        return inner
    if not (longest and name(longest)[0] == "^~"):
        for one in locations:
            if name(one)[0] in ("~", "~*") and _fits(one, path):
                return taking(one.block, path, access(one.block, rules)) or Place(one, access(one.block, rules))
    return inner or (Place(longest, access(longest.block, rules)) if longest else None)


def is_prefix(location: Directive) -> bool:
    """Whether it is for all paths that begin with its own, not for one path, a pattern or a name."""
    kind, path = name(location)
    return kind in ("", "^~") and not path.startswith("@")


def _fits(location: Directive, path: str) -> bool:
    kind, pattern = name(location)
    try:
        return bool(re.search(pattern, path, re.IGNORECASE if kind == "~*" else 0))
    except re.error:  # nginx's patterns know more than Python's
        return False
