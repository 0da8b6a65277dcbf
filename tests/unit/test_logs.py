"""What a client sends stays data in the log."""

from __future__ import annotations

import json
import logging

import pytest

from app.telemetry.logs import JsonFormatter

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("path", ["/plain", "/größe", "/x\x1b[31m\n", "/x\x9b31m\u202egnp", "/\U0001f431", '/"\\'])
def test_no_character_of_a_path_reaches_a_terminal(path: str) -> None:
    record = logging.LogRecord("kiln", logging.INFO, __file__, 1, "answered", None, None)
    record.fields = {"path": path}
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["path"] == path
