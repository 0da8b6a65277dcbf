"""A systemd unit with its drop-ins, and the environment that it gives a service."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_SPAN = re.compile(r"([0-9.]+)\s*([a-z]*)")
_SECONDS = {"": 1, "s": 1, "sec": 1, "ms": 0.001, "m": 60, "min": 60, "h": 3600, "hr": 3600, "d": 86400}
_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Unit:
    """Values by name, in the order of the files."""

    path: Path
    values: dict[str, list[str]]

    def last(self, name: str) -> str:
        """The value in force; empty without one."""
        return (self.values.get(name) or [""])[-1]

    def seconds(self, name: str, default: float) -> float:
        """A time, in seconds. default: where the unit does not say."""
        text = self.last(name)
        if text == "infinity":
            return float("inf")
        return sum(float(number) * _SECONDS[unit] for number, unit in _SPAN.findall(text)) if text else default

    def environment(self) -> tuple[dict[str, str], list[Path]]:
        """(variables of the service, environment files that are named and missing)."""
        found: dict[str, str] = {}
        missing = []
        for line in self.values.get("Environment", []):
            found |= dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)
        for name in self.values.get("EnvironmentFile", []):
            path = Path(name.removeprefix("-"))
            if path.is_file():
                found |= read_environment(path)
            elif not name.startswith("-"):
                missing.append(path)
        return found, missing


def read(path: Path) -> Unit:
    """A unit's file and its drop-ins. Raises OSError where the file cannot be read."""
    values: dict[str, list[str]] = {}
    for file in (path, *sorted(path.with_name(f"{path.name}.d").glob("*.conf"))):
        text = re.sub(r"^[#;].*\n", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
        for line in text.splitlines():
            name, equals, value = line.partition("=")
            if equals and value.strip():
                values.setdefault(name.strip(), []).append(value.strip())
            elif equals:
                values.pop(name.strip(), None)  # an empty value takes back what was said before
    return Unit(path, values)


def read_environment(path: Path) -> dict[str, str]:
    """An environment file: NAME=value, one a line; quotes as in a shell. Raises OSError."""
    found = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith(("#", ";")):
            quoted = value.strip()[:1] in ("'", '"')
            found[name.strip()] = "".join(shlex.split(value)) if quoted else value.strip()
    return found


def memory(text: str, total: int) -> float:
    """MemoryMax and the like, in bytes: 4G, 85% of the machine's, infinity; nothing said is infinity too."""
    if text in ("", "infinity"):
        return float("inf")
    if text.endswith("%"):
        return total * float(text[:-1]) / 100
    unit = text[-1] if text[-1] in _SIZES else ""
    return float(text.removesuffix(unit)) * _SIZES[unit]
