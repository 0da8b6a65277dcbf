"""locustfile.py, run by locust against gunicorn and nginx for seconds."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers import ROOT, Server, wait_for
from tests.servers import running as running_server

pytestmark = [pytest.mark.system, pytest.mark.slow]

LOCUST = (sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest" / "locustfile.py"))


def locust(folder: Path, url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*LOCUST, "--headless", "-H", url, "-t", "3s", "--only-summary", "--json-file", "found", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=90)


def found(folder: Path) -> dict[str, dict[str, int]]:
    return {entry["name"]: entry for entry in json.loads((folder / "found.json").read_text())}


@contextlib.contextmanager
def answering(after: float = 0.0, paths: list[str] | None = None, lengths: list[int] | None = None) -> Iterator[str]:
    """The URL of a server that answers each POST with predictions, so many seconds later.

    paths, lengths: get those of each request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            self.rfile.read(length)
            if paths is not None:
                paths.append(self.path)
            if lengths is not None:
                lengths.append(length)
            time.sleep(after)
            body = b'{"predictions": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):  # of a user that was stopped
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Patient(http.server.ThreadingHTTPServer):
        request_queue_size = 4096

    with Patient(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_closed_loop_by_all_three_ways(house: Server, tmp_path: Path) -> None:
    before = house.metrics()["kiln_images_total"]
    result = locust(tmp_path, house.url, "-u", "4", "-r", "4", "--max-p95", "20000", "--max-p99", "20000")
    assert result.returncode == 0, result.stderr
    entries = found(tmp_path)
    assert set(entries) == {"/predict raw", "/predict form", "/predict json"}
    assert all(entry["num_requests"] > 0 == entry["num_failures"] for entry in entries.values())
    posted = sum(entry["num_requests"] for entry in entries.values())
    assert posted <= house.metrics()["kiln_images_total"] - before <= posted + 4


def test_open_loop(house: Server, tmp_path: Path) -> None:
    result = locust(tmp_path, house.url, "--arrivals", "40", "--way", "raw", "--max-error-rate", "1")
    assert result.returncode == 0, result.stderr
    # 120 are due in the mean; the number is random, and a machine that stands still may send fewer.
    assert 0 < found(tmp_path)["/predict raw"]["num_requests"] < 240


@pytest.mark.parametrize("processes", [(), ("--processes", "1"), ("--processes", "4")])
def test_open_loop_is_of_all_users_in_all_processes(tmp_path: Path, processes: tuple[str, ...]) -> None:
    with answering() as url:
        options = ("-u", "8", "-r", "8", "--arrivals", "50", "--way", "raw")
        result = locust(tmp_path, url, *options, *processes)
    assert result.returncode == 0, result.stderr
    # 150 are due in the mean, 12 their standard deviation; 600 came where each process took its users for all.
    assert 0 < found(tmp_path)["/predict raw"]["num_requests"] < 300


def test_open_loop_has_no_burst_at_its_start(tmp_path: Path) -> None:
    with answering() as url:
        result = locust(tmp_path, url, "-u", "60", "-r", "60", "--arrivals", "5", "--way", "raw")
    assert result.returncode == 0, result.stderr
    assert 0 < found(tmp_path)["/predict raw"]["num_requests"] < 45  # 15 are due in the mean
    assert "asked for" not in result.stderr


@pytest.mark.parametrize("options", [("-t", "1s"), ("--processes", "2"), ("-t", "1s", "--max-p95", "60000")])
def test_a_rate_that_locust_cannot_send(tmp_path: Path, options: tuple[str, ...]) -> None:
    with answering() as url:
        asked = ("--arrivals", "1000000", "--way", "raw", "--max-error-rate", "0.99")
        result = locust(tmp_path, url, *asked, *options)
    assert "1000000 requests a second were asked for" in result.stderr
    assert result.returncode == (1 if "--max-p95" in options else 0), result.stderr


def test_users_that_come_too_slowly_for_the_rate(tmp_path: Path) -> None:
    with answering() as url:
        result = locust(tmp_path, url, "-u", "16", "--arrivals", "40", "--way", "raw", "--max-p95", "60000")
    assert "16 users came 1 a second, and the rate grew with them" in result.stderr
    assert result.returncode == 1


def test_thresholds_set_the_exit_status(house: Server, tmp_path: Path) -> None:
    result = locust(tmp_path, house.url, "-u", "2", "--max-p95", "0.5", "--max-p99", "0.5")
    assert result.returncode == 1
    assert "p95 " in result.stderr
    assert "p99 " in result.stderr
    assert "at most 0.5 wanted" in result.stderr
    assert "error rate" not in result.stderr


@pytest.mark.parametrize(
    ("end", "path"), [("/", "/predict"), ("/prefix/", "/prefix/predict"), ("/a/b", "/a/b/predict")]
)
def test_hosts_with_a_slash_or_a_prefix(tmp_path: Path, end: str, path: str) -> None:
    paths: list[str] = []
    with answering(paths=paths) as url:
        result = locust(tmp_path, url + end, "-t", "1s")
    assert result.returncode == 0, result.stderr
    assert set(paths) == {path}


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = locust(tmp_path, url, "--think", "0.2")
    assert result.returncode == 1
    assert f"{url}: no request was answered" in result.stderr


def test_no_photos(tmp_path: Path) -> None:
    result = locust(tmp_path, "http://127.0.0.1:9", "--photos", str(tmp_path))
    assert result.returncode == 1
    assert f"{tmp_path} has no photos" in result.stderr


@contextlib.contextmanager
def web_page(folder: Path, host: str, *options: str) -> Iterator[str]:
    """The URL of locust's page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*LOCUST, "-H", host, "--web-host", "127.0.0.1", "--web-port", str(port), *options]
    url = f"http://127.0.0.1:{port}"
    with running_server(command, folder / "locust.log", cwd=folder) as process:

        def page() -> str:
            assert process.poll() is None, (folder / "locust.log").read_text()
            try:
                return requests.get(url, timeout=10).text
            except requests.ConnectionError:
                return ""

        wait_for(page, "locust's page", 60)
        yield url


def swarm(url: str, **form: str) -> dict[str, Any]:
    answer = requests.post(f"{url}/swarm", {"user_count": "1", "spawn_rate": "1", **form}, timeout=30)
    assert answer.status_code == 200
    return dict(answer.json())


def shown(url: str) -> dict[str, Any]:
    return dict(requests.get(f"{url}/stats/requests", timeout=30).json())


def posted(url: str) -> set[str]:
    return {entry["name"] for entry in shown(url)["stats"] if entry["num_requests"]} - {"Aggregated"}


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_photos_that_go_while_they_are_posted(tmp_path: Path, photo: bytes, processes: tuple[str, ...]) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "cat.jpg").write_bytes(photo)
    paths: list[str] = []
    with answering(paths=paths) as url:
        command = [*LOCUST, "--headless", "-H", url, "-t", "60s", "--photos", str(tmp_path / "own"), "--think", "2"]
        with running_server([*command, *processes], tmp_path / "log", cwd=tmp_path) as process:
            wait_for(lambda: paths, "the first post")  # by one way; the bodies of the others are yet to be made
            (tmp_path / "own" / "cat.jpg").unlink()
            wait_for(lambda: process.poll() is not None, "locust's end", 45)
    assert process.returncode == 1
    assert "cat.jpg cannot be read" in (tmp_path / "log").read_text()


def test_the_web_page_has_the_options(house: Server, tmp_path: Path) -> None:
    with web_page(tmp_path, house.url) as url:
        text = requests.get(url, timeout=10).text
    for option in ("arrivals", "max_p99", "photos"):
        assert option in text


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_the_web_page_sets_the_options(tmp_path: Path, photo: bytes, processes: tuple[str, ...]) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "large.jpg").write_bytes(photo + bytes(1_000_000))
    lengths: list[int] = []
    with answering(lengths=lengths) as host, web_page(tmp_path, host, *processes) as url:
        if processes:
            wait_for(lambda: len(shown(url)["workers"]) == 2, "workers")
        for way in ("json", "form"):
            assert swarm(url, way=way, photos=str(tmp_path / "own"), think="0.1")["success"]
            wait_for(lambda way=way: posted(url) == {f"/predict {way}"}, f"{way} alone")
            requests.post(f"{url}/stop", timeout=30)
            wait_for(lambda: shown(url)["state"] in ("ready", "stopped"), "the test's end")
    assert lengths
    assert min(lengths) > 1_000_000


def test_the_web_page_refuses_what_the_command_line_does(house: Server, tmp_path: Path) -> None:
    with web_page(tmp_path, house.url) as url:
        answer = swarm(url, way="fax", photos=str(tmp_path), max_p95="soon", max_error_rate="5", arrivals="-1")
        assert not answer["success"]
        for problem in ("--way", f"{tmp_path} has no photos", "--max-p95: 'soon'", "--max-error-rate", "--arrivals"):
            assert problem in answer["message"]
        assert shown(url)["state"] == "ready"


@pytest.mark.parametrize(
    "option", ["--arrivals=-5", "--arrivals=nan", "--think=-1", "--max-p95=inf", "--max-p99=nan", "--max-error-rate=5"]
)
def test_numbers_that_are_none(tmp_path: Path, option: str) -> None:
    result = locust(tmp_path, "http://127.0.0.1:9", option)
    assert result.returncode == 2
    assert option.partition("=")[0] in result.stderr


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_times_are_judged_to_the_millisecond(tmp_path: Path, processes: tuple[str, ...]) -> None:
    with answering(1.02) as url:  # 1000 ms in two digits
        result = locust(tmp_path, url, "-u", "2", "-r", "2", "--max-p99", "1010", *processes)
    assert result.returncode == 1
    assert "at most 1010 wanted" in result.stderr
