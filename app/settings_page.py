"""`python -m app.settings_page > docs/settings.md`: every setting with what it may be, as they are declared."""

from __future__ import annotations

import sys
from dataclasses import Field, fields
from typing import Any

from . import settings

_WRONG = ("\0", "", "/")  # of which each kind of setting, but for those of any text, refuses one

_HEAD = """# Settings

Made by `.venv/bin/python -m app.settings_page > docs/settings.md`, and compared by the tests. Environment variables,
read once, at the start. One that begins with `KILN_` and is not here stops the start, as does a value that is not
allowed; the message names all that is wrong. (`KILN_PYTHON` is the launcher's, `KILN_LOAD_KEY` and `KILN_JMETER` are
the load tests'.) [README](../README.md#settings) says more of each.

| variable | default | allowed | meaning |
|---|---|---|---|
"""


def text() -> str:
    """The page, in Markdown."""
    return _HEAD + "".join(
        f"| `{settings.variable(each)}` | {_default(each)} | {_allowed(each)} | {_meaning(each)} |\n"
        for each in fields(settings.Settings)
    )


def _default(setting: Field[Any]) -> str:
    value: Any = setting.default
    if value == settings.DIALECTS:
        return "`all`"
    if setting.name == "store":
        value = value.relative_to(settings.ROOT)
    shown = ",".join(value) if isinstance(value, tuple) else str(value)
    if isinstance(value, bool):
        shown = shown.lower()
    return f"`{shown}`" if shown else ""


def _meaning(setting: Field[Any]) -> str:
    return str(setting.metadata["meaning"]).replace("<", "&lt;")  # no HTML


def _allowed(setting: Field[Any]) -> str:
    """What its parser says of a value that it refuses."""
    for wrong in _WRONG:
        try:
            setting.metadata["parse"](wrong)
        except ValueError as refused:
            return str(refused)
    return "any text"


if __name__ == "__main__":
    sys.stdout.write(text())
