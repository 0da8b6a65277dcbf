"""An environment file, read as systemd reads it (systemd.exec(5), EnvironmentFile=), and what systemd ignores in it."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLANK = re.compile(r"[ \t\r\n]*")
_REST = re.compile(r"[^\r\n]*")
# Quoted pieces, and one without quotes, which is the last. A quote that is not closed goes on to the end of the file.
_PIECE = re.compile(
    r"""[ \t]*(?: '(?P<single>[^']*)(?P<end>'|\Z) | "(?P<double>(?:\\.|[^"\\])*)(?P<close>"|\\?\Z)
    | (?P<plain>(?:\\.|\\\Z|[^\\\r\n])+) )""",
    re.VERBOSE | re.DOTALL,
)


def read(path: Path) -> tuple[dict[str, str], list[str]]:
    """(variables by name, what is wrong with the file, each with its line). Raises OSError."""
    text = path.read_bytes().decode(errors="surrogateescape")
    found: dict[str, str] = {}
    faults = []
    position = 0
    while position < len(text):
        position = _end(_BLANK, text, position)
        where = f"{path}, line {text.count(chr(10), 0, position) + 1}"
        line = text[position : _end(_REST, text, position)]
        name, equals, _ = line.partition("=")
        is_comment = line.startswith(("#", ";"))
        if is_comment or not equals:
            position += len(line)
            if is_comment and line.endswith("\\"):
                faults.append(
                    f"{where}: the comment ends in a backslash; some versions of systemd go on with it below."
                )
            elif line and not is_comment:
                faults.append(f"{where}: there is no = in it, and systemd ignores it.")
            continue
        value, position, is_closed = _value(text, position + len(name) + 1)
        name = name.rstrip(" \t")
        if not is_closed:
            faults.append(
                f"{where}: the quote is not closed, and all up to the end of the file is the value of {name}."
            )
        if fault := _fault(name, value):
            faults.append(f"{where}: {fault}")
        else:
            found[name] = value
    return found, faults


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _value(text: str, position: int) -> tuple[str, int, bool]:
    """(the value that begins there, where it ends, whether its quotes are closed)"""
    value, is_closed = "", True
    while piece := _PIECE.match(text, position):
        position = piece.end()
        if piece["plain"] is not None:
            joined = re.sub(r"\\(?:[\r\n]|(.)|\Z)", r"\1", piece["plain"], flags=re.DOTALL)
            return value + joined.rstrip(" \t\r\n"), position, is_closed
        if piece["single"] is not None:
            value += piece["single"]
            is_closed = bool(piece["end"])
        else:
            value += re.sub(r'\\(?:\n|(["\\`$]))', r"\1", piece["double"])
            is_closed = piece["close"] == '"'
    return value, position, is_closed


def _fault(name: str, value: str) -> str:
    """Why systemd does not take a variable; empty where it does."""
    if name.startswith("\ufeff"):
        return "the file begins with a byte order mark, and systemd ignores this line. Save it as UTF-8 without one."
    if name.startswith("export "):
        return f"systemd knows no export and ignores it. Write {name.removeprefix('export ').strip()}=..."
    if not _NAME.fullmatch(name):
        return f"{name[:80]!a} is no name of a variable, and systemd ignores it."
    if re.search(r"[\ud800-\udfff]", value):
        return f"the value of {name} is not UTF-8, and systemd refuses it. Save the file as UTF-8."
    if re.search(r"[\0-\x08\x0b-\x1f\x7f]", value):
        return f"the value of {name} has a control character, and systemd ignores it."
    return ""
