"""Load tests of a server that wants an API key: they send the one in the environment, and show it nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.key import VARIABLE
from loadtest.load.__main__ import main
from tests import servers
from tests.servers import ROOT, Server

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server, and the one key that it takes."""
    with servers.with_key(tmp_path_factory.mktemp("guarded")) as found:
        yield found


def test_a_report(
    guarded: tuple[Server, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server, key = guarded
    options = ["--url", server.url, "--users", "1", "--duration", "0.3", "--output", str(tmp_path / "report")]
    assert main(options) == 1
    assert f"wants an API key: give one in {VARIABLE}" in capsys.readouterr().err
    monkeypatch.setenv(VARIABLE, "two\nlines")
    assert main(options) == 1
    assert f"{VARIABLE} is no key" in capsys.readouterr().err
    monkeypatch.setenv(VARIABLE, key)
    assert main(options) == 0
    said = capsys.readouterr()
    assert key not in said.out + said.err
    assert not any(key.encode() in path.read_bytes() for path in (tmp_path / "report").iterdir())


def test_locust(guarded: tuple[Server, str], tmp_path: Path) -> None:
    server, key = guarded
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest" / "locustfile.py")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    done = subprocess.run(
        [*command, "--headless", "-H", server.url, "-t", "2s"],
        cwd=tmp_path,
        env={**environment, VARIABLE: key},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert key not in done.stdout + done.stderr
