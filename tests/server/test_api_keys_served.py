"""API keys in the real server, on the way of the commonest request too, and in no log."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import requests

from app.keys import file
from tests import servers
from tests.servers import ROOT, assert_error, exchange

pytestmark = pytest.mark.server


def test_keys_through_nginx(tmp_path: Path, photo: bytes) -> None:
    keys = tmp_path / "keys"
    key = file.add(keys, "phone")
    settings = {"workers": 2, "api_keys": keys, "access_log": True, "log_level": "debug"}
    with servers.behind_nginx(tmp_path, **settings) as base, requests.Session() as session:

        def post(given: str) -> requests.Response:
            headers = {"Content-Type": "image/jpeg"} | ({"Authorization": f"Bearer {given}"} if given else {})
            return session.post(f"{base.url}/predict", data=photo, headers=headers, timeout=20)

        assert_error(post(""), 401, "unauthorized")
        assert post(key).status_code == 200
        assert_error(post("kiln_wrong"), 401, "unauthorized")
        file.remove(keys, "phone")
        for _ in range(10):  # every worker, from the next request on
            assert_error(post(key), 401, "unauthorized")
        assert requests.get(f"{base.url}/ready", timeout=20).status_code == 200
        said = "".join(path.read_text(errors="replace") for path in tmp_path.glob("*.log"))
    assert "/predict" in said
    assert key not in said
    assert "kiln_wrong" not in said
    assert "Bearer" not in said


def test_a_rate_is_of_all_workers_together(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    key = file.add(keys, "phone", rate=0.04)
    other = file.add(keys, "desk", rate=8)
    with servers.gunicorn(tmp_path, workers=4, api_keys=keys) as server:

        def ask(key: str) -> int:
            return requests.get(f"{server.url}/models", headers={"X-API-Key": key}, timeout=20).status_code

        assert [ask(key) for _ in range(20)] == [200] + [429] * 19
        with requests.Session() as session:  # a second's worth at once, on one connection and so from one worker
            session.headers["X-API-Key"] = other
            assert [session.get(f"{server.url}/models", timeout=20).status_code for _ in range(8)] == [200] * 8


def test_keys_without_nginx(tmp_path: Path, photo: bytes) -> None:
    keys = tmp_path / "keys"
    key = file.add(keys, "phone")
    with servers.gunicorn(tmp_path, workers=1, api_keys=keys) as server, requests.Session() as session:
        for given, status in (("kiln_wrong", 401), (key, 200), ("", 401), (key, 200)):  # on one connection
            headers = {"Content-Type": "image/jpeg", "X-API-Key": given}
            assert session.post(f"{server.url}/predict", data=photo, headers=headers, timeout=20).status_code == status
        broken = f"GET /models HTTP/1.1\r\nHost: x\r\nAuthorization Bearer {key}\r\n\r\n"  # the colon is missing
        assert_error(exchange(server.url, broken.encode()), 400, "bad_request")
        said = server.log.read_text()
    assert "Refused request" in said
    assert key not in said


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    environment = servers.clean_environment(bind="127.0.0.1:0", api_keys=tmp_path / "nowhere")
    done = subprocess.run(servers.GUNICORN, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "KILN_API_KEYS" in done.stderr
