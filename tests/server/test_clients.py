"""The programs in docs/clients.md, run as they stand: keys, a service that is busy, and what they say when refused."""

from __future__ import annotations

import http.server
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from tests import servers
from tests.servers import ROOT, Server

pytestmark = [pytest.mark.server, pytest.mark.slow]

PATIENCE = 300  # seconds for one program: `go run` compiles, and the machine is shared


class Program(NamedTuple):
    """heading: its section in the document. file: what it must be called. command: what runs it, without arguments."""

    heading: str
    file: str
    command: tuple[str, ...]


PROGRAMS = (
    Program("Python, with requests", "ask.py", (sys.executable, "ask.py")),
    Program("Python alone", "ask_alone.py", (sys.executable, "ask_alone.py")),
    Program("Node", "ask.mjs", ("node", "ask.mjs")),
    Program("Java", "Ask.java", ("java", "Ask.java")),
    Program("Go", "ask.go", ("go", "run", "ask.go")),
    Program("PHP", "ask.php", ("php", "ask.php")),
    Program("C#", "Program.cs", ("dotnet", "run")),
)
PROJECT = """<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup>
<OutputType>Exe</OutputType><TargetFramework>net{}</TargetFramework><Nullable>enable</Nullable>
</PropertyGroup></Project>
"""


def sections() -> dict[str, str]:
    """The one block of code in a language, by its heading."""
    text = (ROOT / "docs" / "clients.md").read_text()
    return dict(re.findall(r"^## (.+?)\n.*?^```[a-z]+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def test_every_program_of_the_document_is_run() -> None:
    browser = {"JavaScript in a browser"}  # tests/browser/test_other_origin.py
    assert sections().keys() - browser == {program.heading for program in PROGRAMS}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A service that wants a key, and one."""
    with servers.with_key(tmp_path_factory.mktemp("keyed")) as found:
        yield found


class _Busy(http.server.ThreadingHTTPServer):
    """In front of a service, as a node that is full for the first two requests."""

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _BusyHandler)
        self.url = url
        self.asked: list[float] = []


class _BusyHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Busy

    def do_POST(self) -> None:
        self.server.asked.append(time.monotonic())
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if len(self.server.asked) <= 2:
            self._answer(503, b'{"error": {"code": "overloaded", "message": "busy"}}', "1")
            return
        sent = {name: value for name, value in self.headers.items() if name in ("Authorization", "Content-Type")}
        answer = requests.post(self.server.url + self.path, body, headers=sent, timeout=60)
        self._answer(answer.status_code, answer.content)

    def _answer(self, status: int, content: bytes, after: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if after:
            self.send_header("Retry-After", after)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def busy(keyed: tuple[Server, str]) -> Iterator[_Busy]:
    with _Busy(keyed[0].url) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.heading)
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Program:
    """One of them, written down in tmp_path."""
    found: Program = request.param
    if shutil.which(found.command[0]) is None:
        pytest.skip(f"{found.command[0]} is not installed: the sample in {found.heading} was not run")
    if found.heading == "PHP" and "curl" not in _said("php", "-m").split():
        pytest.skip("PHP has no extension curl: the sample in PHP was not run")
    if found.heading == "C#":
        version = re.match(r"\d+\.\d+", _said("dotnet", "--version"))
        assert version
        (tmp_path / "ask.csproj").write_text(PROJECT.format(version[0]))
    (tmp_path / found.file).write_text(sections()[found.heading])
    return found


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run(program: Program, folder: Path, url: str, photo: Path, key: str = "") -> subprocess.CompletedProcess[str]:
    environment = servers.clean_environment() | ({"API_KEY": key} if key else {})
    command = [*program.command, url, str(photo)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def test_it_prints_label_and_score(
    program: Program, keyed: tuple[Server, str], busy: _Busy, photo_path: Path, tmp_path: Path
) -> None:
    """Of a service that is busy at first, and wants a key."""
    server, key = keyed
    done = run(program, tmp_path, f"http://127.0.0.1:{busy.server_port}", photo_path, key)
    assert done.returncode == 0, done.stderr
    answer = requests.post(
        f"{server.url}/predict", photo_path.read_bytes(), headers={"X-API-Key": key}, timeout=60
    ).json()
    label, score = done.stdout.split()
    assert label == answer["predictions"][0]["label"] == "cat"
    assert float(score) == pytest.approx(answer["predictions"][0]["score"])
    first, second, third = busy.asked
    assert second - first >= 1  # as Retry-After said
    assert third - second >= 1


def test_it_says_why_it_was_refused(program: Program, keyed: tuple[Server, str], tmp_path: Path) -> None:
    server, key = keyed
    text = tmp_path / "note.txt"
    text.write_text("no picture")
    refused = run(program, tmp_path, server.url, text, key)
    assert refused.returncode != 0
    assert "not_an_image" in refused.stdout + refused.stderr
