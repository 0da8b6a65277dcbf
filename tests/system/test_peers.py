"""A peer that really runs, where its environment was made before: no test makes one."""

from __future__ import annotations

import http.server
import itertools
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest import bench, nginx, processes, servers, wrk
from loadtest import rounds as loads
from loadtest.peers import environments, rounds, tables
from loadtest.peers.contestants import LABELS, contestants
from loadtest.peers.findings import Findings

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.timeout(300),  # servers start here that take many seconds where others use the machine
    pytest.mark.skipif(not wrk.available(), reason="wrk is not installed"),
]


class Fickle(http.server.BaseHTTPRequestHandler):
    """Says dog to every other photo."""

    protocol_version = "HTTP/1.1"
    answers = itertools.cycle([b'{"label": "cat", "top": ["dog"]}', b'{"label": "dog", "top": ["cat"]}'])

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = next(self.answers)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def fickle() -> Iterator[str]:
    """Where it answers."""
    with http.server.HTTPServer(("127.0.0.1", 0), Fickle) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.skipif(nginx.program() is None, reason="nginx is not installed")
def test_kiln_is_measured_behind_the_nginx_that_ships() -> None:
    found = loads.measure({"nginx"}, rounds=1, seconds=1, tell=lambda _: None)["nginx"]
    assert found.faults == []
    assert found.per_second[0] > 0
    assert found.cpu_ms[0] > 0


LATE = """
import http.server, os, threading, time

class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
time.sleep(0.5)
os.fork()
time.sleep(60)
"""


def test_a_worker_that_is_there_later_than_the_first_answer_spoils_no_turn() -> None:
    with processes.running([sys.executable, "-c", LATE], {}, pipes=True) as program:
        assert program.process.stdout is not None
        port = int(program.process.stdout.readline())
        assert len(program.cpu_seconds()) == 1
        turn = loads.server_turn(servers.Server(program, port, 0.0))(1)
        assert turn.per_second > 0
        assert len(program.cpu_seconds()) > 1


def test_every_answer_is_looked_at(fickle: str) -> None:
    result = wrk.run(fickle, servers.PHOTO, 1, 1, labels=LABELS)
    assert result.requests > 1
    # The last answer may have come when wrk had stopped counting.
    assert abs(2 * result.wrong - result.requests) <= 2
    assert "answers were wrong" in result.fault
    assert wrk.run(fickle, servers.PHOTO, 1, 1).fault == ""


def test_a_peer_side_by_side_with_kiln() -> None:
    if not environments.ready("fastapi"):
        pytest.skip("the environment of fastapi is not made: ./kiln bench --peers fastapi")
    taking_part = contestants(["fastapi"], {"litert": servers.engine_file("litert")})
    said: list[str] = []
    outcome = rounds.measure(taking_part, 1, 1, [2], said.append)
    assert outcome.left_out == {}
    assert list(outcome.series) == ["kiln/litert", "fastapi/litert"]
    for series in outcome.series.values():
        assert series.faults == []
        point = series.points[2]
        assert all(value > 0 for value in (*point.per_second, *point.p50_ms, *point.cpu_ms, *series.start_s))
    assert "round 1 of 1: FastAPI + uvicorn, LiteRT, 2 connections" in said
    assert "FastAPI + uvicorn, LiteRT" in tables.markdown(Findings(taking_part, outcome, [2], 1))


def test_the_command_writes_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, page = tmp_path / "found.json", tmp_path / "page.md"
    options = ["--rounds", "1", "--seconds", "1", "--connections", "2", "--json", str(found), "--markdown", str(page)]
    status = bench.main(["--peers", "tutorial", *options])
    data = json.loads(found.read_text())
    assert status == (1 if data["faults"] else 0)
    assert list(data["contestants"]) == ["kiln/litert", "tutorial/keras", "tutorial/litert"]
    assert "Kiln" in page.read_text()
    assert "Answers a second" in capsys.readouterr().out
