"""What one client may ask of nginx, and what nginx sends to a second server when the first one fails."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from app import routes
from app.keys.guard import OPEN
from app.resources.function_compute import HOOKS
from app.settings import Settings
from tests import servers
from tests.servers import NGINX_CONF, assert_error, connect, exchange, post_head, read_answer, wait_for
from tests.stand_in import Backend, before_backend, few, instead

pytestmark = [pytest.mark.server, pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.2")]

ONE = "127.0.0.2"  # limits do not bind 127.0.0.1
OTHER = "127.0.0.3"
VERSION = b"GET /version HTTP/1.1\r\nHost: kiln.test\r\n\r\n"


def test_a_client_that_asks_too_often_is_refused_and_no_other(tmp_path: Path) -> None:
    with before_backend(tmp_path, few) as (url, backend):
        with connect(url, source=ONE) as client:
            for _ in range(3):
                client.sendall(VERSION)
                answer = read_answer(client)
                assert answer is not None
                assert answer.status_code == 200
            reached = len(backend.requests)
            body = b"x" * 1000
            client.sendall(post_head("/predict", "Content-Length: 1000", "X-Request-ID: mine") + body)
            refused = read_answer(client)
            assert_error(refused, 429, "too_many_requests")
            assert refused is not None
            assert refused.headers["X-Request-ID"] == "mine"
            assert int(refused.headers["Retry-After"]) > 0
            assert len(backend.requests) == reached
        with connect(url, source=OTHER) as client:
            client.sendall(VERSION)
            answer = read_answer(client)
            assert answer is not None
            assert answer.status_code == 200
        for _ in range(10):  # this machine itself
            assert requests.get(f"{url}/version", timeout=10).status_code == 200


def test_a_client_has_only_so_many_requests_at_a_time(tmp_path: Path) -> None:
    with (
        before_backend(tmp_path, instead("kiln_connections 128", "kiln_connections 1")) as (url, backend),
        connect(url, source=ONE) as first,
        connect(url, source=ONE) as second,
        connect(url, source=OTHER) as third,
    ):
        first.sendall(post_head("/hang", "Content-Length: 0"))
        wait_for(lambda: "POST /hang" in backend.requests, "the request to arrive")
        second.sendall(VERSION)
        assert_error(read_answer(second), 429, "too_many_requests")
        third.sendall(VERSION)
        answer = read_answer(third)
        assert answer is not None
        assert answer.status_code == 200
        backend.end.set()
        assert read_answer(first) is not None
        second.sendall(VERSION)
        answer = read_answer(second)
        assert answer is not None
        assert answer.status_code == 200


def probes() -> set[str]:
    """The health checks of every protocol. The hooks of Function Compute are its own runtime's: no nginx is there."""
    return {*OPEN, *routes.spoken(Settings()).probes} - {"/metrics", *HOOKS}


def test_health_checks_are_not_limited(tmp_path: Path) -> None:
    def asked(client: socket.socket, path: str, method: str = "GET", *headers: str) -> int:
        client.sendall("\r\n".join((f"{method} {path} HTTP/1.1", "Host: kiln.test", *headers, "", "")).encode())
        answer = read_answer(client)
        assert answer is not None
        return answer.status_code

    with before_backend(tmp_path, few) as (url, _), connect(url, source=ONE) as client:
        assert [asked(client, "/predict") for _ in range(4)] == [200] * 3 + [429]
        assert {"/live", "/ready", "/ping", "/v2/health/live"} <= probes()
        for path in probes():
            for below in ("", "/some/prefix"):
                assert asked(client, f"{below}{path}?x=1") == 200, path
        assert asked(client, "/ready", "GET", "Content-Length: 0") == 200
        for path in ("/alive", "/ready/", "/v2/models", "/predict?at=/ready"):
            assert asked(client, path) == 429, path
        assert asked(client, "/ready", "POST", "Content-Length: 0") == 429
    with (
        before_backend(tmp_path, instead("kiln_connections 128", "kiln_connections 1")) as (url, backend),
        connect(url, source=ONE) as first,
        connect(url, source=ONE) as second,
    ):
        first.sendall(post_head("/hang", "Content-Length: 0"))
        wait_for(lambda: "POST /hang" in backend.requests, "the request to arrive")
        assert asked(second, "/predict") == 429
        assert asked(second, "/ready") == 200


def behind_a_balancer(text: str) -> str:
    """As the comment says, with this machine as the load balancer."""
    for line in ("set_real_ip_from 10.0.0.0/8;", "real_ip_header X-Forwarded-For;", "real_ip_recursive on;"):
        text = instead(f"# {line}", line.replace("10.0.0.0/8", "127.0.0.1"))(text)
    return few(text)


def test_behind_a_load_balancer_its_clients_are_told_apart(tmp_path: Path) -> None:
    with before_backend(tmp_path, behind_a_balancer) as (url, _):

        def status(told: str) -> int:
            return requests.get(url, headers={"X-Forwarded-For": told}, timeout=10).status_code

        # What a client claims stands left of what the balancer adds, and changes nothing.
        assert [status(f"{claim}, 192.0.2.1") for claim in ("127.0.0.1", "192.0.2.7", "a", "b")] == [200] * 3 + [429]
        assert status("192.0.2.2") == 200


# --- The log ------------------------------------------------------------------------------------------------------


def test_a_client_that_is_refused_does_not_fill_the_log(tmp_path: Path) -> None:
    """What is let in has a line each; of the rest, refused or not limited, a hundredth has."""
    count = 1000
    log = tmp_path / "access.log"

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in log.read_text().splitlines() if ONE in line]

    with before_backend(tmp_path, few) as (url, _):
        for path in ("/predict", "/live", "/.kiln-error"):
            with connect(url, source=ONE) as client:
                for _ in range(count):
                    client.sendall(f"GET {path} HTTP/1.1\r\nHost: kiln.test\r\n\r\n".encode())
                    assert read_answer(client) is not None
        requests.get(f"{url}/version", timeout=10)
        wait_for(lambda: "GET /version" in log.read_text(), "a line of this machine")
    found = lines()
    assert [line["status"] for line in found[:3]] == [200] * 3
    assert 3 < len(found) < 3 + 3 * count / 20


def test_no_line_of_the_log_is_long(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    quotes, odd = '"' * 7000, "\x01" * 7000
    asked = f"GET /{quotes} HTTP/1.1\r\nHost: kiln.test\r\nUser-Agent: {odd}\r\nX-Request-ID: {'a' * 128}\r\n\r\n"
    with before_backend(tmp_path) as (url, _):
        assert exchange(url, asked.encode()) is not None
        [line] = wait_for(lambda: re.findall(r".*aaaa.*\n", log.read_text()), "the line")
    assert len(line) <= 3000
    told = json.loads(line)
    assert len(told["request"]) == 500
    assert told["user_agent"] == "\x01" * 200


# --- Another server -------------------------------------------------------------------------------------------------


def before_two(folder: Path, first: str) -> Callable[[str], str]:
    """Let another server stand before the one in the file. nginx asks them in turn; this one it asks first."""
    return lambda text: re.sub(r"^( *)(server unix:.*)", rf"\1server unix:{first};\n\1\2", text, flags=re.MULTILINE)


@pytest.mark.parametrize("state", ["missing", "refusing"])
def test_a_post_that_was_refused_a_connection_goes_to_the_other_server(tmp_path: Path, state: str) -> None:
    gone = Path(tmp_path, "gone.sock")
    if state == "refusing":
        servers.leave_socket(gone)
    with before_backend(tmp_path, before_two(tmp_path, str(gone))) as (url, backend):
        for _ in range(4):
            assert requests.post(f"{url}/predict", data=b"x", timeout=10).status_code == 200
    assert backend.requests.count("POST /predict") == 4


def test_a_post_that_was_read_goes_to_no_other_server_and_a_get_does(tmp_path: Path) -> None:
    """Two servers read a whole request and hang up. A POST is with one of them, a GET with both."""
    (tmp_path / "run").mkdir()
    with (
        servers.short_folder() as run,
        Backend(run).serving() as other,
        before_backend(tmp_path, before_two(tmp_path, f"{run}/kiln.sock max_fails=0")) as (url, backend),
    ):
        both = (backend.requests, other.requests)
        for number in range(1, 4):
            assert_error(requests.post(f"{url}/crash", data=b"x", timeout=10), 502, "unavailable")
            assert sum(seen.count("POST /crash") for seen in both) == number
        assert_error(requests.get(f"{url}/crash", timeout=10), 502, "unavailable")
        assert [seen.count("GET /crash") for seen in both] == [1, 1]


# --- gixy -----------------------------------------------------------------------------------------------------------


def gixy(conf: Path) -> str:
    program = Path(sys.executable).with_name("gixy")
    if not program.exists():
        pytest.skip("gixy-ng is not installed")
    done = subprocess.run([program, conf], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_gixy_finds_nothing(tmp_path: Path) -> None:
    assert "No issues found" in gixy(NGINX_CONF)
    with_tls = tmp_path / "tls.conf"
    with_tls.write_text(servers.with_tls(NGINX_CONF.read_text()))
    assert "No issues found" in gixy(with_tls)


def test_gixy_would_find_something(tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(instead("header Host $host;", "header Host $http_host;")(NGINX_CONF.read_text()))
    assert "host_spoofing" in gixy(conf)
