"""What a page of another origin meets, as it ships and with nginx changed as docs/security.md says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from app.keys import file
from tests import servers
from tests.origins import allowing
from tests.servers import Server

pytestmark = pytest.mark.server

ORIGIN = "https://shop.example"
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """nginx that allows one origin, before a service that wants a key."""
    folder = tmp_path_factory.mktemp("origins")
    key = file.add(folder / "keys", "shop")
    servers.nginx_program()
    with (
        servers.short_folder() as run,
        servers.gunicorn(folder, bind=f"unix:{run}/kiln.sock", api_keys=folder / "keys") as backend,
        servers.nginx(folder, run, backend=backend, change=allowing(ORIGIN)) as server,
    ):
        yield server, key


def cors(answer: requests.Response) -> dict[str, str]:
    """Its headers that are for browsers alone."""
    begins = "access-control-"
    return {
        name.lower().removeprefix(begins): value for name, value in answer.headers.items() if begins in name.lower()
    }


def test_as_it_ships_no_other_origin_is_allowed(proxied: Server, photo: bytes) -> None:
    headers = {"Origin": ORIGIN, "Content-Type": "image/jpeg"}
    answers = [
        requests.options(f"{proxied.url}/predict", headers=PREFLIGHT, timeout=20),
        requests.post(f"{proxied.url}/predict", photo, headers=headers, timeout=20),
    ]
    assert [cors(answer) for answer in answers] == [{}, {}]


def test_the_question_before_a_request_needs_no_key(allowed: tuple[Server, str]) -> None:
    answer = requests.options(f"{allowed[0].url}/predict", headers=PREFLIGHT, timeout=20)
    assert (answer.status_code, answer.content) == (204, b"")
    told = cors(answer)
    assert told["allow-origin"] == ORIGIN
    assert "POST" in told["allow-methods"].split(", ")
    assert set(PREFLIGHT["Access-Control-Request-Headers"].split(",")) <= set(told["allow-headers"].lower().split(", "))


def test_a_page_may_read_answers_and_errors(allowed: tuple[Server, str], photo: bytes) -> None:
    server, key = allowed
    headers = {"Origin": ORIGIN, "Content-Type": "image/jpeg"}
    answers = [
        requests.post(f"{server.url}/predict", photo, headers=headers | {"X-API-Key": key}, timeout=20),
        requests.post(f"{server.url}/predict", photo, headers=headers, timeout=20),  # the application's own error
        requests.get(f"{server.url}/{'a' * 9000}", headers=headers, timeout=20),  # nginx's
    ]
    assert [answer.status_code for answer in answers] == [200, 401, 414]
    for answer in answers:
        assert cors(answer) == {"allow-origin": ORIGIN, "expose-headers": "X-Request-ID, Retry-After"}
        assert answer.headers["X-Request-ID"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_nginx_takes_it_without_a_warning(tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(allowing(ORIGIN)(servers.nginx_conf(tmp_path, tmp_path, 8080)))
    command = [servers.nginx_program(), "-t", "-p", tmp_path, "-c", conf]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr
