"""nginx's configuration as a tree of directives, what is in force where it hands requests on, and nginx's own word."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

_TOKEN = re.compile(
    r"""\s+ | \#[^\n]* | (?P<quoted>"(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*') | (?P<mark>[{};])
    | (?P<word>(?:\\.|\$\{[^}]*\}|[^\s{};"'\\])(?:\\.|\$\{[^}]*\}|[^\s{};\\])*)""",
    re.VERBOSE | re.DOTALL,
)
_TIME = re.compile(r"([0-9]+)(ms|s|m|h|d|w|M|y)?")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TEST_SECONDS = 30  # nginx looks up the names of servers
_NOT_INHERITED = frozenset({"location", "server", "upstream", "map", "geo", "include", "if", "types", "events", "http"})


class NginxError(ValueError):
    """The file cannot be read as nginx's configuration."""


class NotTried(Exception):
    """nginx could not look at the file to its end."""


@dataclass(frozen=True)
class Directive:
    """One directive; block holds those inside its braces."""

    name: str
    arguments: tuple[str, ...]
    block: list[Directive] = field(default_factory=list)


@dataclass(frozen=True)
class Way:
    """A location that hands requests on.

    target: what proxy_pass says. values: the directives in force there; of those that are said more than once, the
    last. location: the words of the innermost one. headers: what is set of the request, by name in small letters.
    """

    target: str
    values: dict[str, tuple[str, ...]]
    location: tuple[str, ...]
    headers: dict[str, str]

    def seconds(self, name: str, default: str) -> float:
        """A time, in seconds."""
        return seconds(self.values.get(name, (default,))[0])

    def size(self, name: str, default: str) -> int:
        """A size, in bytes."""
        return size(self.values.get(name, (default,))[0])


def read(path: Path) -> list[Directive]:
    """The whole configuration, with what it includes. Raises NginxError, and OSError."""
    return _Reader(path.resolve().parent).read(path)


def program() -> str | None:
    """The nginx of this machine, if there is one. Debian keeps it out of an ordinary user's path."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")


def refusal(nginx: str, path: Path) -> str:
    """Why nginx itself does not start with that file; empty where it does. nginx: the program.

    Raises NotTried, with nginx's reason, where this user may not open what the file names.
    """
    command = [nginx, "-t", "-q", "-c", str(path.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TEST_SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired as late:
        raise NotTried(f"no answer within {_TEST_SECONDS} s") from late
    if done.returncode == 0:
        return ""
    said = [line.removeprefix("nginx: ") for line in done.stderr.splitlines()]
    reason = next((line for line in said if line.startswith("[emerg]")), done.stderr.strip())
    if os.geteuid() != 0 and "Permission denied" in reason:
        raise NotTried(reason)
    return reason


def find(tree: list[Directive], name: str) -> Iterator[Directive]:
    """Every directive of that name, however deep."""
    for directive in tree:
        if directive.name == name:
            yield directive
        yield from find(directive.block, name)


def ways(tree: list[Directive], outer: Way | None = None) -> Iterator[Way]:
    """Every location that hands requests on, with what it inherits. outer: what is in force around the tree."""
    outer = outer or Way("", {}, (), {})
    values = dict(outer.values)
    values |= {one.name: one.arguments for one in tree if one.name not in _NOT_INHERITED and not one.block}
    set_here = [one.arguments for one in tree if one.name == "proxy_set_header" and len(one.arguments) > 1]
    headers = {name.lower(): value for name, value, *_ in set_here}
    here = Way("", values, outer.location, headers or outer.headers)  # a level with headers of its own inherits none
    if target := values.pop("proxy_pass", None):
        yield replace(here, target=target[0])
    for one in tree:
        if one.name in ("http", "server", "location", "if"):
            location = one.arguments if one.name == "location" else here.location
            yield from ways(one.block, replace(here, location=location))


def split(target: str) -> tuple[str, str]:
    """Of a proxy_pass: whom it names (an upstream, host:port or unix:PATH), and its URI part, empty where it has none.

    The URI part stands in for what the location's own path matched.
    """
    rest = target.partition("://")[2]
    if rest.startswith("unix:"):
        path, _, uri = rest.removeprefix("unix:").partition(":")
        return f"unix:{path}", uri
    name, slash, uri = rest.partition("/")
    return name, slash + uri


def upstreams(tree: list[Directive]) -> dict[str, Directive]:
    """The groups of servers, by name."""
    return {one.arguments[0]: one for one in find(tree, "upstream")}


def seconds(text: str) -> float:
    """A time of nginx, such as 75s or 1h30m; a bare number counts seconds."""
    return sum(int(number) * _SECONDS[unit or "s"] for number, unit in _TIME.findall(text))


def size(text: str) -> int:
    """A size of nginx, such as 10m, in bytes."""
    unit = text[-1:].lower() if text[-1:].isalpha() else ""
    return int(text.removesuffix(text[-1]) if unit else text) * _SIZES[unit]


class _Reader:
    """Reads files; an include is relative to the folder of the first one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: Path) -> list[Directive]:
        tokens = list(_tokens(path))
        tokens.reverse()
        tree = self._block(tokens, path, inside=False)
        return tree

    def _block(self, tokens: list[tuple[str, bool]], path: Path, *, inside: bool) -> list[Directive]:
        found: list[Directive] = []
        words: list[str] = []
        while tokens:
            text, is_mark = tokens.pop()
            if not is_mark:
                words.append(text)
            elif text == ";" and words:
                found += self._include(words[1]) if words[0] == "include" else [Directive(words[0], tuple(words[1:]))]
                words = []
            elif text == "{" and words:
                found.append(Directive(words[0], tuple(words[1:]), self._block(tokens, path, inside=True)))
                words = []
            elif text == "}" and inside and not words:
                return found
            else:
                raise NginxError(f"{path}: a {text!r} that belongs to nothing; nginx -t says more")
        if inside or words:
            raise NginxError(f"{path} ends too early; nginx -t says more")
        return found

    def _include(self, pattern: str) -> list[Directive]:
        base = Path("/") if pattern.startswith("/") else self._folder
        found: list[Directive] = []
        paths = sorted(base.glob(pattern.lstrip("/")))
        if not paths and not re.search(r"[*?\[]", pattern):
            raise NginxError(f"{base / pattern} is included and not there")
        for path in paths:
            found += self.read(path)
        return found


def _tokens(path: Path) -> Iterator[tuple[str, bool]]:
    """(text, whether it is one of {};)"""
    text, position = path.read_text(encoding="utf-8", errors="replace"), 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise NginxError(f"{path}: cannot be read from {text[position : position + 20]!r} on; nginx -t says more")
        position = found.end()
        if found["quoted"]:
            yield found["quoted"][1:-1], False
        elif found["mark"] or found["word"]:
            yield found["mark"] or found["word"], bool(found["mark"])
