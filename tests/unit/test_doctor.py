"""What the doctor reads, and what each check says of a chain that is right and of one that is not."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app import cores
from app.keys import file as keys_file
from app.settings import Settings
from deploy.doctor import chain as chains
from deploy.doctor import nginx, rights, unit
from deploy.doctor.chain import Chain
from deploy.doctor.checks import (
    bodies,
    capacity,
    exposure,
    files,
    keys,
    memory,
    proxies,
    retries,
    sockets,
    store,
    timeouts,
)
from deploy.doctor.findings import Findings, Level
from tests.servers import NGINX_CONF, short_folder

pytestmark = pytest.mark.unit

CONF = {"timeout": 60, "graceful_timeout": 30, "keepalive": 75, "worker_connections": 1000, "backlog": 2048}
UNIT = "[Service]\nTimeoutStopSec=45\nWatchdogSec=1min 30s\nLimitNOFILE=16384\nMemoryMax=85%\n"


def make(tmp_path: Path, old: str = "", new: str = "", service: str = UNIT, **settings: object) -> Chain:
    """A chain of the shipped nginx.conf with one change, a unit and settings."""
    text = NGINX_CONF.read_text()
    assert old in text
    conf, unit_file = tmp_path / "nginx.conf", tmp_path / "kiln.service"
    conf.write_text(text.replace(old, new) if old else text)
    unit_file.write_text(service)
    config = Settings(**({"bind": "unix:/run/kiln/kiln.sock"} | settings))
    tree = nginx.read(conf)
    gunicorn = {**CONF, "bind": [config.bind or f"{config.host}:{config.port}"]}
    way, upstream = chains._way(tree, gunicorn["bind"][0])
    return Chain(config, gunicorn, tree, way, upstream, unit.read(unit_file))


def problems(found: Findings) -> str:
    """The messages and remedies of what is not good; every one says what to change."""
    wrong = [one for one in found if one.level is not Level.GOOD]
    assert all(one.remedy for one in wrong)
    return " ".join(f"{one.level}: {one.message} {one.remedy}" for one in wrong)


# --- What is read ---------------------------------------------------------------------------------------------------


def test_nginx_is_read_with_what_it_includes(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "a").write_text(
        'server { client_max_body_size 2m; # not 3m;\n location / { proxy_pass http://one; set $a "{;#"; } }'
    )
    (tmp_path / "sites" / "b").write_text(
        "server { location ~ ^/x{2}$ { proxy_pass http://two/; proxy_read_timeout 1m30s; } }"
    )
    main = tmp_path / "nginx.conf"
    main.write_text("http { client_max_body_size 1m; include sites/*; }")
    with pytest.raises(nginx.NginxError):  # an unquoted brace, which nginx refuses too
        nginx.read(main)
    (tmp_path / "sites" / "b").write_text(
        'server { location ~ "^/x{2}$" { proxy_pass http://two/; proxy_read_timeout 1m30s; } }'
    )
    one, two = nginx.ways(nginx.read(main))
    assert (one.target, one.size("client_max_body_size", "1m")) == ("http://one", 2 << 20)
    assert (two.target, two.size("client_max_body_size", "1m")) == ("http://two/", 1 << 20)
    assert one.seconds("proxy_read_timeout", "60s") == 60
    assert two.seconds("proxy_read_timeout", "60s") == 90


@pytest.mark.parametrize("text", ["http {", "a b", "}", "a; }", "{ }", ";", 'a "b;'])
def test_what_is_no_configuration_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(text)
    with pytest.raises(nginx.NginxError, match="nginx -t"):
        nginx.read(path)


def test_a_unit_is_read_with_its_drop_ins(tmp_path: Path) -> None:
    path, env = tmp_path / "kiln.service", tmp_path / "kiln.env"
    env.write_text("# ours\nKILN_WORKERS=3\nKILN_MODEL='a b'\n")
    path.write_text(
        f"[Service]\n# User=no\nUser=kiln\nEnvironment=A=1 'B=2 3' \\\n  C=4\nEnvironmentFile={env}\n"
        "EnvironmentFile=/nowhere\nEnvironmentFile=-/nor/here\nTimeoutStopSec=1min 30s\nLimitNOFILE=5\n"
    )
    (tmp_path / "kiln.service.d").mkdir()
    (tmp_path / "kiln.service.d" / "more.conf").write_text("[Service]\nLimitNOFILE=\nLimitNOFILE=7\n")
    found = unit.read(path)
    assert (found.last("User"), found.last("LimitNOFILE"), found.seconds("TimeoutStopSec", 90)) == ("kiln", "7", 90)
    variables = {"A": "1", "B": "2 3", "C": "4", "KILN_WORKERS": "3", "KILN_MODEL": "a b"}
    assert found.environment() == (variables, [Path("/nowhere")])


def test_memory_limits() -> None:
    assert [unit.memory(text, 1000) for text in ("85%", "2K", "5", "infinity", "")] == [
        850,
        2048,
        5,
        *[float("inf")] * 2,
    ]


# --- What is right --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check",
    [
        exposure.check,
        proxies.check,
        timeouts.check,
        retries.check,
        bodies.check,
        store.check,
        keys.check,
        files.check,
        memory.check,
    ],
)
def test_what_ships_is_right(tmp_path: Path, check: Callable[[Chain], Findings]) -> None:
    assert problems(check(make(tmp_path))) == ""


# --- What is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"old": "proxy_read_timeout 75s", "new": "proxy_read_timeout 60s"}, "raise nginx's proxy_read_timeout"),
        ({"old": "        proxy_read_timeout 75s;\n", "new": ""}, "proxy_read_timeout, 60 s"),  # nginx's own
        ({"old": "        keepalive_timeout 60s;", "new": "        keepalive_timeout 2m;"}, "gunicorn's keepalive"),
        ({"body_timeout": 60.0}, "Lower KILN_BODY_TIMEOUT"),
        ({"deadline": 60.0}, "Lower KILN_DEADLINE"),
        ({"deadline": 20.0}, "warning: KILN_DEADLINE is 20 s, not less than KILN_BODY_TIMEOUT"),
        ({"load_wait": 100.0}, "Lower KILN_LOAD_WAIT"),
        ({"service": "TimeoutStopSec=30"}, "systemd's TimeoutStopSec"),
        ({"drain": 15.0}, "KILN_DRAIN and gunicorn's graceful_timeout together is 45 s"),
        ({"service": "WatchdogSec=30"}, "systemd's WatchdogSec"),
    ],
)
def test_timeouts_out_of_order(tmp_path: Path, change: dict[str, object], said: str) -> None:
    assert said in problems(timeouts.check(make(tmp_path, **change)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"max_body_bytes": 1 << 20}, "nginx takes 10,485,760 bytes"),
        ({"max_body_bytes": 1 << 30}, "nginx refuses bodies over 10,485,760"),
        ({"old": "client_max_body_size 10m", "new": "client_max_body_size 0"}, "bodies of any size"),
        ({"old": "    client_max_body_size 10m;\n", "new": ""}, "over 1,048,576 bytes"),
        ({"old": "proxy_request_buffering on", "new": "proxy_request_buffering off"}, "slow clients hold"),
    ],
)
def test_body_limits_that_differ(tmp_path: Path, change: dict[str, object], said: str) -> None:
    assert said in problems(bodies.check(make(tmp_path, **change)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("proxy_next_upstream error;", "proxy_next_upstream error timeout non_idempotent;"),
        (
            "        location / {",
            "location /v2/ { proxy_pass http://kiln; proxy_next_upstream non_idempotent error; } location / {",
        ),
    ],
)
def test_posts_that_are_repeated(tmp_path: Path, old: str, new: str) -> None:
    assert "non_idempotent" in problems(retries.check(make(tmp_path, old, new)))


@pytest.mark.parametrize(
    ("count", "named", "said"),
    [
        (0, False, "problem: KILN_TRUSTED_PROXIES is 0"),
        (0, True, "problem: KILN_TRUSTED_PROXIES is 0"),
        (2, False, "problem: KILN_TRUSTED_PROXIES is 2, and nginx names no load balancer"),
        (3, False, "problem: KILN_TRUSTED_PROXIES is 3, and nginx names no load balancer"),
        (1, True, ""),
        (2, True, ""),
        (3, True, "warning: KILN_TRUSTED_PROXIES is 3: that is right only with 2 proxies in a row"),
    ],
)
def test_proxies_that_are_believed(tmp_path: Path, count: int, named: bool, said: str) -> None:
    real_ip = ("# set_real_ip_from 10.0.0.0/8;", "set_real_ip_from 10.0.0.0/8;") if named else ("", "")
    found = problems(proxies.check(make(tmp_path, *real_ip, trusted_proxies=count)))
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_metrics_that_are_open(tmp_path: Path) -> None:
    assert "hands /metrics to everybody" in problems(exposure.check(make(tmp_path, "            deny all;\n")))
    assert "hands /metrics to everybody" in problems(exposure.check(make(tmp_path, "= /metrics", "= /other")))


@pytest.mark.parametrize("rule", ["allow all;", "allow 0.0.0.0/0;", "allow ::/0;", "allow 128.0.0.0/1;"])
def test_metrics_that_a_rule_opens(tmp_path: Path, rule: str) -> None:
    """The first rule that fits decides."""
    opened = make(tmp_path, "            allow 127.0.0.1;", f"            {rule}")
    assert "hands /metrics to everybody" in problems(exposure.check(opened))
    assert problems(exposure.check(make(tmp_path, "            deny all;\n", f"deny all; {rule}\n"))) == ""


@pytest.mark.parametrize("rule", ["allow 10.0.0.0/8;", "allow 203.0.113.7;", "allow fd00::/8;", "allow unix:;"])
def test_metrics_for_some(tmp_path: Path, rule: str) -> None:
    assert problems(exposure.check(make(tmp_path, "            allow 127.0.0.1;", f"            {rule}"))) == ""


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/pub/ { proxy_pass http://kiln/; }", "/pub/metrics"),
        ("/pub { proxy_pass http://kiln; location ~ x { return 404; } location /pub/a/ { proxy_pass http://kiln/; } }",
         "/pub/a/metrics"),
        ("/m { proxy_pass http://kiln/metrics; }", "/m"),
        ("= /numbers { proxy_pass http://kiln/metrics; }", "/numbers"),
        ("/pub/ { proxy_pass http://unix:/run/kiln/kiln.sock:/; }", "/pub/metrics"),
        ("/pub/ { proxy_pass http://kiln/; allow all; location = /metrics { return 404; } }", "/pub/metrics"),
    ],
)  # fmt: skip
def test_metrics_by_another_way(tmp_path: Path, location: str, path: str) -> None:
    found = problems(exposure.check(make(tmp_path, "        location / {", f"location {location}\n location / {{")))
    assert f"everybody as {path}, since proxy_pass http://" in found


@pytest.mark.parametrize(
    "location",
    [
        "/pub/ { location = /pub/metrics { return 404; } proxy_pass http://kiln/; }",
        "/pub/ { location =/pub/metrics { return 403; } proxy_pass http://kiln/; }",
        "/pub/ { proxy_pass http://kiln/; allow 10.0.0.0/8; deny all; }",
        "/pub/ { proxy_pass http://kiln/; } location ~ metrics$ { return 404; }",
        "/v1/ { proxy_pass http://kiln/v1/; }",
        "/other/ { proxy_pass http://127.0.0.1:3000/; }",
    ],
)
def test_ways_that_do_not_lead_to_metrics(tmp_path: Path, location: str) -> None:
    assert (
        problems(exposure.check(make(tmp_path, "        location / {", f"location {location}\n location / {{"))) == ""
    )


def test_metrics_in_every_server(tmp_path: Path) -> None:
    """One that closes them is not enough; where a server closes all, its locations inherit that."""
    second = "server { listen 81; %s location / { proxy_pass http://kiln; } }\n    upstream kiln {"
    assert "hands /metrics" in problems(exposure.check(make(tmp_path, "    upstream kiln {", second % "")))
    assert problems(exposure.check(make(tmp_path, "    upstream kiln {", second % "deny all;"))) == ""


@pytest.fixture
def run() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def test_the_socket(tmp_path: Path, run: Path) -> None:
    path = run / "kiln.sock"
    chain = make(tmp_path, "/run/kiln/", f"{run}/", bind=f"unix:{path}")
    assert f"{path}, where gunicorn listens and nginx asks, is not there" in problems(sockets.check(chain))
    path.touch()
    assert "is no socket" in problems(sockets.check(chain))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        run.chmod(0o755)
        path.chmod(0o777)
        assert "Nobody answers" in problems(sockets.check(chain))
        listener.listen()
        assert problems(sockets.check(chain)) == ""
        path.chmod(0o700)
        if os.geteuid() == 0:
            assert "www-data may not write to" in problems(sockets.check(chain))
            run.chmod(0o700)
            assert f"www-data may not enter {run}" in problems(sockets.check(chain))


def test_addresses_that_differ(tmp_path: Path) -> None:
    said = problems(sockets.check(make(tmp_path, bind="")))
    assert "gunicorn listens on 127.0.0.1:8000, nginx asks unix:/run/kiln/kiln.sock" in said
    assert "KILN_BIND=unix:/run/kiln/kiln.sock" in said
    assert "hands no requests" in problems(sockets.check(dataclasses.replace(make(tmp_path), way=None)))


def test_a_tcp_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        upstream = ("server unix:/run/kiln/kiln.sock", f"server localhost:{port}")
        assert problems(sockets.check(make(tmp_path, *upstream, bind="", port=port))) == ""
        open_to_all = make(tmp_path, *upstream, bind="", port=port, host="0.0.0.0")
        assert "get past nginx" in problems(sockets.check(open_to_all))
    assert "Nobody answers" in problems(sockets.check(make(tmp_path, *upstream, bind="", port=port)))


def test_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    assert "No such file" in problems(store.check(make(tmp_path, store=folder)))
    shutil.copytree(Settings().store, folder)
    assert problems(store.check(make(tmp_path, store=folder))) == ""
    assert "no model 'lion'" in problems(store.check(make(tmp_path, store=folder, model="lion")))
    (folder / "catdog" / "1" / "model.tflite").write_bytes(b"short")
    assert "model.tflite is incomplete" in problems(store.check(make(tmp_path, store=folder)))


@pytest.mark.parametrize(
    ("stable", "problem"),
    [("9", "names version 9, which is not in the store"), ("x", "must name a version")],
)
def test_a_serving_file_that_is_not_followed(tmp_path: Path, stable: str, problem: str) -> None:
    folder = tmp_path / "store"
    shutil.copytree(Settings().store, folder)
    (folder / "catdog" / "serving.json").write_text(json.dumps({"labels": {"stable": stable}}))
    found = problems(store.check(make(tmp_path, store=folder)))
    assert f"catdog/serving.json: label 'stable' {problem}" in found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what others may not")
def test_a_store_that_the_service_may_not_read(tmp_path: Path) -> None:
    shutil.copytree(Settings().store, tmp_path / "store")
    (tmp_path / "store").chmod(0o700)
    chain = make(tmp_path, store=tmp_path / "store", service="User=www-data")
    assert "www-data may not enter" in problems(store.check(chain))
    assert "no user nobody-here" in problems(store.check(make(tmp_path, service="User=nobody-here")))


def test_rights_are_owners_groups_and_others(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(0o600)
    assert rights.obstacle("", path, rights.READ | rights.WRITE) == ""


def test_api_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.touch(0o640)
    chain = make(tmp_path, api_keys=str(path))
    assert "nobody is served" in problems(keys.check(chain))
    keys_file.add(path, "phone")
    assert problems(keys.check(chain)) == ""
    path.chmod(0o666)
    assert "may write to" in problems(keys.check(chain))
    path.write_text("nonsense\n")
    assert "line 1" in problems(keys.check(chain))
    path.unlink()
    assert "No such file" in problems(keys.check(chain))


def test_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable", lambda: 4)
    assert problems(capacity.check(make(tmp_path))) == ""
    assert "want 8 cores" in problems(capacity.check(make(tmp_path, workers=4, engine_threads=2)))
    assert "use 2 of 4 cores" in problems(capacity.check(make(tmp_path, workers=2, engine_threads=1)))


def test_memory(tmp_path: Path) -> None:
    said = problems(memory.check(make(tmp_path, workers=4, service="MemoryMax=100M")))
    assert "100 MiB are there" in said
    assert "KILN_WORKERS" in said


def test_file_limits(tmp_path: Path) -> None:
    assert "may open 1024 files" in problems(files.check(make(tmp_path, service="LimitNOFILE=1024")))
    conf = make(tmp_path, "worker_rlimit_nofile 49152", "worker_rlimit_nofile 20000")
    assert "nginx may open 20000 files" in problems(files.check(conf))
