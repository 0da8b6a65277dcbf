"""`./kiln doctor` on a service that runs, and on the files that ship."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.doctor import nginx
from tests import servers
from tests.servers import NGINX_CONF, ROOT, Server

pytestmark = pytest.mark.server

UNIT = ROOT / "deploy" / "systemd" / "kiln.service"


def doctor(*arguments: str | Path, **settings: object) -> tuple[int, dict[str, Any]]:
    """(exit status, what --json prints)"""
    command = [sys.executable, "-m", "deploy.doctor", "--json", *arguments]
    environment = servers.clean_environment(**settings) | {"KILN_CWD": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, json.loads(done.stdout)


def problems(report: dict[str, Any]) -> dict[str, str]:
    return {one["check"]: one["message"] for one in report["findings"] if one["level"] == "problem"}


def test_a_service_that_runs_is_healthy(proxied: Server) -> None:
    assert proxied.backend is not None
    conf = proxied.log.parent / "nginx.conf"
    status, report = doctor("--nginx", conf, bind=proxied.backend.url, workers=2)
    assert (status, report["good"], problems(report)) == (0, True, {})
    assert {one["check"] for one in report["findings"]} >= {
        "sockets",
        "ready",
        "timeouts",
        "bodies",
        "store",
        "memory",
        "files",
    }


def test_a_service_that_runs_and_is_not_ready_says_why(tmp_path: Path) -> None:
    """Its files alone cannot tell: here it was started with another store."""
    (tmp_path / "store").mkdir()
    with servers.gunicorn(tmp_path, up="/live", workers=1, store=tmp_path / "store") as server:
        status, report = doctor("--nginx", NGINX_CONF, bind=server.url.removeprefix("http://"))
    assert status == 1
    assert "503, not ready: " in problems(report)["ready"]
    assert "holds no versions" in problems(report)["ready"]
    assert "store" not in problems(report)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("server_tokens off;", "server_tokens off", "server_tokens"),
        ("server_tokens off;", "include missing.conf;", "missing.conf"),
        ("server_tokens off;", "serve_tokens off;", 'unknown directive "serve_tokens"'),
        ("server_name _;", "server_name _; listen 127.0.0.1:9 ssl;", "ssl_certificate"),
    ],
)
def test_what_nginx_refuses_is_a_problem(tmp_path: Path, proxied: Server, old: str, new: str, said: str) -> None:
    assert proxied.backend is not None
    text = (proxied.log.parent / "nginx.conf").read_text()
    assert old in text
    conf = tmp_path / "nginx.conf"
    conf.write_text(text.replace(old, new, 1))
    status, report = doctor("--nginx", conf, bind=proxied.backend.url, workers=2)
    assert status == 1
    wrong = [one for one in report["findings"] if one["level"] == "problem" and one["check"] == "files"]
    assert any("[emerg]" in one["message"] and said in one["message"] for one in wrong), wrong


def test_what_nginx_may_not_open_is_not_held_against_it() -> None:
    with servers.short_folder() as folder:
        folder.chmod(0o755)
        conf = folder / "nginx.conf"
        conf.write_text("pid /etc/kiln-nginx.pid; events {}")
        program, user = servers.nginx_program(), os.geteuid()
        os.seteuid(user or 65534)
        try:
            with pytest.raises(nginx.NotTried, match="Permission denied"):
                nginx.refusal(program, conf)
        finally:
            os.seteuid(user)


def test_what_is_wrong_is_told_all_at_once(proxied: Server) -> None:
    assert proxied.backend is not None
    conf = proxied.log.parent / "nginx.conf"
    wrong = {"timeout": 300, "max_body_bytes": 5_000_000, "model": "lion"}
    status, report = doctor("--nginx", conf, bind=proxied.backend.url, **wrong)
    assert (status, report["good"]) == (1, False)
    assert set(problems(report)) == {"timeouts", "bodies", "store"}


def test_what_ships_fits_together() -> None:
    """Nothing runs here, so that the socket is missing; all else must be right."""
    status, report = doctor("--nginx", NGINX_CONF, bind="unix:/run/kiln/kiln.sock")
    assert set(problems(report)) <= {"sockets"}, problems(report)
    assert status == (1 if problems(report) else 0)


@pytest.mark.skipif(not UNIT.exists(), reason="there is no unit")
def test_the_unit_that_ships_fits(tmp_path: Path) -> None:
    """But for what a checkout need not have: the service's user, and a place outside of everybody's home."""
    unit, left_out = tmp_path / UNIT.name, ("User=", "ProtectHome=")
    unit.write_text("".join(line for line in UNIT.read_text().splitlines(True) if not line.startswith(left_out)))
    environment = tmp_path / "kiln.env"
    shipped = UNIT.with_name("kiln.env").read_text().splitlines(True)
    environment.write_text("".join(line for line in shipped if not line.startswith("KILN_STORE=")))
    _, report = doctor("--nginx", NGINX_CONF, "--unit", unit, "--env", environment)
    assert set(problems(report)) <= {"sockets"}, problems(report)
    assert any("TimeoutStopSec" in one["message"] for one in report["findings"])


def test_slower_models_as_the_document_says(tmp_path: Path) -> None:
    """With each value of its row in docs/operations.md; without the drop-in there is something to find."""
    [row] = re.findall(r"^\| slower models \|.*$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    [timeout], [read], [watchdog] = (
        re.findall(rf"`({name}\d+s?)`", row) for name in ("KILN_TIMEOUT=", "proxy_read_timeout ", "WatchdogSec=")
    )
    unit, conf, environment = tmp_path / UNIT.name, tmp_path / "nginx.conf", tmp_path / "kiln.env"
    unit.write_text("".join(line for line in UNIT.read_text().splitlines(True) if not line.startswith("User=")))
    conf.write_text(re.sub(r"proxy_read_timeout \w+", read, NGINX_CONF.read_text()))
    environment.write_text(f"{timeout}\n")
    _, report = doctor("--nginx", conf, "--unit", unit, "--env", environment)
    assert "systemd's WatchdogSec" in problems(report)["timeouts"]
    drop_in = tmp_path / f"{UNIT.name}.d" / "override.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(f"[Service]\n{watchdog}\n")
    _, report = doctor("--nginx", conf, "--unit", unit, "--env", environment)
    assert "timeouts" not in problems(report), problems(report)


def test_what_the_unit_tells_gunicorn_counts(tmp_path: Path) -> None:
    unit = tmp_path / "kiln.service"
    unit.write_text("[Service]\nExecStart=/opt/kiln/.venv/bin/gunicorn --timeout 500 -b 127.0.0.1:9 api:app\n")
    _, report = doctor("--nginx", NGINX_CONF, "--unit", unit)
    assert "500 s" in problems(report)["timeouts"]
    assert "gunicorn listens on 127.0.0.1:9" in problems(report)["sockets"]


def test_a_file_that_is_not_there_is_not_for_root_to_find() -> None:
    _, report = doctor("--unit", "/nowhere/kiln.service")
    [wrong] = [one for one in report["findings"] if one["message"].startswith("/nowhere/kiln.service")]
    assert wrong["remedy"] == "Name the file that is meant, with --unit or --env."


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        ((), {"port": "many"}, "KILN_PORT='many' must be"),
        (("--nginx", "/nowhere/nginx.conf"), {}, "/nowhere/nginx.conf"),
        (("--unit", "/nowhere/kiln.service"), {}, "/nowhere/kiln.service"),
    ],
)
def test_what_cannot_be_read(arguments: tuple[str, ...], settings: dict[str, str], said: str) -> None:
    status, report = doctor(*arguments, **settings)
    assert status == 1
    assert said in problems(report)["files"]


def test_for_people() -> None:
    command = [sys.executable, "-m", "deploy.doctor", "--nginx", "deploy/nginx.conf"]
    environment = servers.clean_environment(body_timeout=100) | {"KILN_CWD": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "PROBLEM  timeouts: KILN_BODY_TIMEOUT is 100 s" in done.stdout
    assert "-> Lower KILN_BODY_TIMEOUT" in done.stdout
