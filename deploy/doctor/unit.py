"""A systemd unit with its drop-ins, and the environment that it gives a service."""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from . import environment_file

IN_FORCE = Path("/etc/systemd/system/kiln.service")  # the service's on a node
_SPAN = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?)\s*([A-Za-z\u00b5\u03bc]*)")  # systemd.time(7)
_SECONDS = {
    name: seconds
    for names, seconds in (
        ("us usec \u00b5s \u03bcs", 1e-6),
        ("ms msec", 0.001),
        ("s sec second seconds", 1),
        ("m min minute minutes", 60),
        ("h hr hour hours", 3600),
        ("d day days", 86400),
        ("w week weeks", 604800),
        ("M month months", 2629800),
        ("y year years", 31557600),
    )
    for name in names.split()
}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?)\s*([EPTGMKB]?)")
_YES = {"1", "yes", "y", "true", "t", "on"}
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_UNITS = "EPTGMKB"  # descending, each 1024 of the next


@dataclass(frozen=True)
class Unit:
    """Values by name, in the order of the files. faults: what systemd ignores, which is left out."""

    path: Path
    values: dict[str, list[str]]
    faults: list[str]

    def last(self, name: str) -> str:
        """The value in force; empty without one."""
        return (self.values.get(name) or [""])[-1]

    def seconds(self, name: str, default: float) -> float:
        """A time, in seconds. default: where the unit does not say."""
        text = self.last(name)
        return span(text) if text else default

    def is_on(self, name: str) -> bool:
        """Whether a value says yes."""
        return self.last(name).lower() in _YES

    def hides(self, path: Path) -> bool:
        """Whether the service finds nothing there, links followed, whatever its rights are."""
        return self.is_on("ProtectHome") and any(path.resolve().is_relative_to(home) for home in _HOMES)

    def words(self, name: str) -> list[str]:
        """The words of a value, without their quotes."""
        return shlex.split(self.last(name))

    def environment(self) -> tuple[dict[str, str], list[Path], list[str]]:
        """(variables of the service, environment files that are named and missing, what is wrong with the others)."""
        found: dict[str, str] = {}
        missing, faults = [], []
        for line in self.values.get("Environment", []):
            found |= dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)
        for name in self.values.get("EnvironmentFile", []):
            path = Path(name.removeprefix("-"))
            if path.is_file():
                variables, wrong = environment_file.read(path)
                found |= variables
                faults += wrong
            elif not name.startswith("-"):
                missing.append(path)
        return found, missing, faults

    def socket(self) -> tuple[Path, str] | None:
        """(the socket's unit, where it listens, as gunicorn writes it) where systemd hands the service its socket."""
        path = self.path.with_suffix(".socket")
        needed = " ".join(self.values.get("Requires", [])).split()
        if path.name not in needed or not path.exists():
            return None
        stream = read(path).last("ListenStream")
        if stream.startswith("/"):
            return path, f"unix:{stream}"
        return path, f"[::]:{stream}" if stream.isdecimal() else stream


def read(path: Path) -> Unit:
    """A unit's file and its drop-ins. Raises OSError where the file cannot be read."""
    values: dict[str, list[str]] = {}
    faults = []
    for file in (path, *sorted(path.with_name(f"{path.name}.d").glob("*.conf"))):
        text = file.read_text(encoding="utf-8-sig", errors="replace")
        text = re.sub(r"^[#;].*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
        for line in text.splitlines():
            name, equals, value = line.partition("=")
            name, value = name.strip(), value.strip()
            if equals and not value:
                values.pop(name, None)  # an empty value takes back what was said before
            elif equals and (fault := _fault(name, value)):
                faults.append(f"{file}: systemd cannot read {name}={value} and ignores it: {fault}.")
            elif equals:
                values.setdefault(name, []).append(value)
    return Unit(path, values, faults)


def _fault(name: str, value: str) -> str:
    """Why a value cannot be read, of those that matter here; empty where it can."""
    try:
        if name in ("TimeoutStopSec", "WatchdogSec"):
            span(value)
        elif name == "MemoryMax":
            memory(value, 1)
        elif name in ("Environment", "ExecStart"):
            shlex.split(value)
    except ValueError as wrong:
        return str(wrong)
    return ""


def span(text: str) -> float:
    """A span of time such as 1min 30s, in seconds; a bare number counts them. Raises ValueError."""
    if text == "infinity":
        return float("inf")
    pieces = _pieces(_SPAN, text)
    for _, unit in pieces:
        if unit and unit not in _SECONDS:
            raise ValueError(f"there is no unit of time {unit!r}")
    return sum(number * _SECONDS[unit or "s"] for number, unit in pieces)


def memory(text: str, total: int) -> float:
    """MemoryMax and the like, in bytes: 4G 500M, 85% of the machine's, infinity; nothing said is infinity too.

    Raises ValueError.
    """
    if text in ("", "infinity"):
        return float("inf")
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?%", text):
        return total * float(text[:-1]) / 100
    pieces = _pieces(_SIZE, text)
    powers = [len(_UNITS) - 1 - _UNITS.index(unit or "B") for _, unit in pieces]
    if any(later >= earlier for earlier, later in itertools.pairwise(powers)):
        raise ValueError("larger units come first, each once")
    return sum(number * 1024.0**power for (number, _), power in zip(pieces, powers, strict=True))


def _pieces(pattern: re.Pattern[str], text: str) -> list[tuple[float, str]]:
    """The numbers in a text, each with its unit, where it is made of nothing else. Raises ValueError."""
    found, position = [], 0
    while position < len(text):
        piece = pattern.match(text, position)
        if piece is None:
            raise ValueError(f"{text[position:]!r} is neither a number nor a unit")
        found.append((float(piece[1]), piece[2]))
        position = piece.end()
    return found
