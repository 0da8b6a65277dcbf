"""What workers share of our own code, and when not."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import own_code

pytestmark = pytest.mark.unit


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of a package `app` that this process has imported; what it had imported before comes back."""
    ours = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in ("app", "model")}
    own_code.forget()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    file = tmp_path / "app" / "part.py"
    file.write_text("number = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("app.part")
    yield file
    own_code.forget()
    sys.modules.update(ours)


def test_code_that_is_as_it_was_is_shared(imported: Path) -> None:
    before = own_code.stamps()
    assert before[str(imported)] == imported.stat().st_mtime_ns
    own_code.forget_if_changed(before)
    assert "app.part" in sys.modules


@pytest.mark.parametrize("change", ["written", "removed"])
def test_where_some_has_changed_all_is_read_anew(imported: Path, change: str) -> None:
    before = own_code.stamps()
    if change == "written":
        imported.write_text("number = 2\n")
        os.utime(imported, ns=(0, before[str(imported)] + 1))
    else:
        imported.unlink()
    own_code.forget_if_changed(before)
    assert not [name for name in sys.modules if name.partition(".")[0] in ("app", "model")]
