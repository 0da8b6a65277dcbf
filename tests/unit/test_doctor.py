"""What the doctor reads, and what each check says of a chain that is right and of one that is not."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app import cores
from app.keys import file as keys_file
from app.settings import Settings
from deploy.doctor import chain as chains
from deploy.doctor import environment_file, nginx, rights, unit
from deploy.doctor.chain import Chain
from deploy.doctor.checks import (
    bodies,
    capacity,
    code,
    exposure,
    files,
    keys,
    memory,
    proxies,
    ready,
    retries,
    sockets,
    store,
    timeouts,
    traces,
    units,
)
from deploy.doctor.findings import Findings, Level
from model import engines, extras
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
    gunicorn = {**CONF, "bind": [config.address], "workers": config.worker_count()}
    way, upstream = chains._way(tree, gunicorn["bind"][0])
    return Chain(config, gunicorn, tree, way, upstream, unit.read(unit_file), {})


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


@pytest.mark.parametrize("text", ["http {", "a b", "}", "a; }", "{ }", ";", 'a "b;', "include missing.conf;"])
def test_what_is_no_configuration_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(text)
    with pytest.raises(nginx.NginxError, match=r"nginx -t|is included and not there"):
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
    assert found.environment() == (variables, [Path("/nowhere")], [])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("85%", 850),
        ("2K", 2048),
        ("5", 5),
        ("infinity", math.inf),
        ("", math.inf),
        ("4G 500M", (4 << 30) + (500 << 20)),
        ("1.5 K", 1536),
        ("1E", 1 << 60),
    ],
)
def test_memory_limits(text: str, size: float) -> None:
    assert unit.memory(text, 1000) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2minutes", 120),
        ("90seconds", 90),
        ("120000000us", 120),
        ("1min 30s", 90),
        ("1h30", 3630),
        ("1.5h", 5400),
        ("1w 1day", 691200),
        ("1M", 2629800),
        ("5 5", 10),
        ("3 \u03bcs", 3e-6),
        ("infinity", math.inf),
    ],
)
def test_times_of_systemd(text: str, seconds: float) -> None:
    assert unit.span(text) == pytest.approx(seconds)


def test_what_systemd_cannot_read_in_a_unit_is_told_and_ignored(tmp_path: Path) -> None:
    path = tmp_path / "kiln.service"
    lines = ("TimeoutStopSec=20", "TimeoutStopSec=soon", "WatchdogSec=90 secs", "MemoryMax=4g", "MemoryMax=500M 4G")
    odd = ('Environment="KILN_PORT=8', 'ExecStart=gunicorn "api:app', "# caf\xe9")
    path.write_bytes("\n".join(("[Service]", *lines, *odd, "Environment=A=1", "")).encode("latin-1"))
    found = unit.read(path)
    assert (found.seconds("TimeoutStopSec", 90), found.seconds("WatchdogSec", 7)) == (20, 7)
    assert (found.last("MemoryMax"), found.environment()) == ("", ({"A": "1"}, [], []))
    told = [fault.partition("cannot read ")[2].partition("=")[0] for fault in found.faults]
    assert told == ["TimeoutStopSec", "WatchdogSec", "MemoryMax", "MemoryMax", "Environment", "ExecStart"]


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("# ours\n; too\n\n A = b c \nB=\nC=1", {"A": "b c", "B": "", "C": "1"}),
        ("A=one \\\n  two\nB=3\n", {"A": "one   two", "B": "3"}),
        ("A='one\ntwo' \"three\"\nB=it's\n", {"A": "one\ntwothree", "B": "it's"}),
        ('A="\\$x \\" \\y"\nB=\\a\\\\b\n', {"A": '$x " \\y', "B": "a\\b"}),
        ("A=1\r\nB='2'  \r\n", {"A": "1", "B": "2"}),
        ("# caf\xe9\nA=1\n", {"A": "1"}),
    ],
)
def test_an_environment_file_is_read_as_systemd_does(tmp_path: Path, text: str, variables: dict[str, str]) -> None:
    path = tmp_path / "kiln.env"
    path.write_bytes(text.encode("latin-1"))
    assert environment_file.read(path) == (variables, [])


@pytest.mark.parametrize(
    ("content", "variables", "said"),
    [
        (b"export KILN_STORE=/a\nA=1\n", {"A": "1"}, "line 1: systemd knows no export"),
        (b"\xef\xbb\xbfA=1\nB=2\n", {"B": "2"}, "line 1: the file begins with a byte order mark"),
        (b"A=1\nB='2\nC=3\n", {"A": "1", "B": "2\nC=3\n"}, "line 2: the quote is not closed"),
        (b'B="2\nC=3\\', {"B": "2\nC=3"}, "line 1: the quote is not closed"),
        (b"A=caf\xe9\nB=2\n", {"B": "2"}, "line 1: the value of A is not UTF-8"),
        (b"A=1\n\n2B=3\n", {"A": "1"}, "line 3: '2B' is no name"),
        (b"A=1\nKILN_PORT\n", {"A": "1"}, "line 2: there is no = in it"),
        (b"A=\0\n", {}, "line 1: the value of A has a control character"),
        (b"# old \\\nA=1\n", {"A": "1"}, "line 1: the comment ends in a backslash"),
    ],
)
def test_what_systemd_ignores_in_an_environment_file_is_told(
    tmp_path: Path, content: bytes, variables: dict[str, str], said: str
) -> None:
    path = tmp_path / "kiln.env"
    path.write_bytes(content)
    found, [fault] = environment_file.read(path)
    assert found == variables
    assert said in fault


@pytest.mark.parametrize(
    ("stream", "listens"),
    [("/run/a.sock", "unix:/run/a.sock"), ("127.0.0.1:81", "127.0.0.1:81"), ("81", "[::]:81")],
)
def test_where_the_socket_of_systemd_listens_is_where_the_service_does(
    tmp_path: Path, stream: str, listens: str
) -> None:
    """gunicorn takes over what systemd hands it, whatever its own settings say."""
    service, own = tmp_path / "kiln.service", tmp_path / "own.env"
    service.write_text("[Unit]\nRequires=kiln.socket\n[Service]\nEnvironment=KILN_BIND=unix:/run/a.sock\n")
    (tmp_path / "kiln.socket").write_text(f"[Socket]\nListenStream={stream}\n")
    own.write_text("KILN_BIND=127.0.0.1:82\n")
    chain, found = chains.read(NGINX_CONF, service, own)
    assert chain
    assert chain.listens == listens
    assert f"KILN_BIND=127.0.0.1:82 has no effect: {tmp_path}/kiln.socket listens on {listens}" in problems(iter(found))
    own.write_text(f"KILN_BIND={listens}\n")
    assert problems(iter(chains.read(NGINX_CONF, service, own)[1])) == ""


def test_what_is_ignored_is_a_problem(tmp_path: Path) -> None:
    service, file, own = tmp_path / "kiln.service", tmp_path / "kiln.env", tmp_path / "own.env"
    service.write_text(f"[Service]\nEnvironmentFile={file}\nWatchdogSec=soon\n")
    file.write_text("export KILN_PORT=1\n")
    own.write_text("KILN_PORT\n")
    _, found = chains.read(NGINX_CONF, service, own)
    wrong = " ".join(one.message for one in found if one.level is Level.PROBLEM)
    assert all(said in wrong for said in ("WatchdogSec=soon", "no export", "no = in it"))


# --- What is right --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check",
    [
        exposure.check,
        proxies.check,
        timeouts.check,
        retries.check,
        bodies.check,
        code.check,
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
    real_ip = ("", "")
    if named:
        real_ip = ("# set_real_ip_from", "real_ip_header X-Forwarded-For; set_real_ip_from")
    found = problems(proxies.check(make(tmp_path, *real_ip, trusted_proxies=count)))
    assert found.startswith(said)
    assert bool(found) == bool(said)


_FORWARDED = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"


@pytest.mark.parametrize(
    ("old", "new", "location"),
    [
        (_FORWARDED, "", "/"),
        (_FORWARDED, "proxy_set_header X-Forwarded-For $http_x_forwarded_for;", "/"),
        (_FORWARDED, 'proxy_set_header X-Forwarded-For "";', "/"),
        (_FORWARDED, 'proxy_set_header X-Forwarded-For "$remote_addr, $http_x_forwarded_for";', "/"),
        ("location / {", "location / { proxy_set_header Host $host;", "/"),  # which inherits no other then
        ("location / {", "location ~ ^/v2 { proxy_set_header A b; proxy_pass http://kiln; } location / {", "~ ^/v2"),
        ("location / {", "location / { location /v2/ { proxy_set_header A b; proxy_pass http://kiln; }", "/v2/"),
        (_FORWARDED, "proxy_set_header x-forwarded-for $remote_addr;", ""),
        (_FORWARDED, "proxy_set_header X-Forwarded-For ${remote_addr};", ""),
        (_FORWARDED, 'proxy_set_header X-Forwarded-For "$http_x_forwarded_for, $remote_addr";', ""),
        ("location / {", f"location / {{ {_FORWARDED}", ""),
        (
            "location / {",
            "location /other/ { proxy_set_header A b; proxy_pass http://127.0.0.1:3000; } location / {",
            "",
        ),
        ("location = /metrics {", "location = /metrics { proxy_set_header A b;", ""),
    ],
)
def test_who_writes_the_address_of_a_client(tmp_path: Path, old: str, new: str, location: str) -> None:
    found = problems(proxies.check(make(tmp_path, old, new)))
    assert (f"problem: nginx's location {location} does not write X-Forwarded-For" in found) == bool(location)
    assert bool(found) == bool(location)


def test_a_load_balancer_without_its_header(tmp_path: Path) -> None:
    named = make(tmp_path, "# set_real_ip_from", "set_real_ip_from", trusted_proxies=2)
    assert "no real_ip_header" in problems(proxies.check(named))


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


@pytest.mark.parametrize(
    ("listens", "said"),
    [
        ("listen 443 ssl; listen [::]:443 ssl;", ""),
        ("listen 443 ssl; listen 127.0.0.1:80; listen [::1]:80;", ""),
        ("listen 443 ssl; listen [::]:80 default_server;", "on [::]:80 in the clear"),
    ],
)
def test_what_speaks_tls_and_is_reached_without_it(tmp_path: Path, listens: str, said: str) -> None:
    wrong = problems(exposure.check(make(tmp_path, "listen 80 default_server;", listens)))
    assert said in wrong if said else wrong == ""


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


def test_what_the_service_does_not_say_of_itself(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "_SECONDS", 0.1)
    chain = make(tmp_path, bind=f"unix:{run}/kiln.sock")
    assert problems(ready.check(chain)).startswith("warning: Whether the service is ready is not known")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{run}/kiln.sock")
        listener.listen()
        assert problems(ready.check(chain)).startswith("problem: The service does not answer GET /ready")


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


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Chain]:
    """A machine of systemd: its unit is in force, and a systemctl of ours says that all is well but for one answer."""

    def made(but: str = "") -> Chain:
        program = tmp_path / "systemctl"
        program.write_text(
            f'#!/bin/sh\ncase "$1 $2" in {but}\n"is-active "*) echo active;; "is-enabled "*) echo enabled;; esac\n'
        )
        program.chmod(0o755)
        (tmp_path / "kiln.socket").write_text("[Socket]\nListenStream=/run/kiln/kiln.sock\n")
        return make(tmp_path, service="[Unit]\nRequires=kiln.socket\n")

    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(units, "_SYSTEMD", tmp_path)
    monkeypatch.setattr(unit, "IN_FORCE", tmp_path / "kiln.service")
    return made


def test_units_that_run(node: Callable[[str], Chain]) -> None:
    [good] = units.check(node(""))
    assert (good.level, good.message.partition(" run ")[0]) == (
        Level.GOOD,
        "nginx.service, kiln.service, kiln.socket",
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("is-active nginx.service) echo inactive; exit 3", "problem: nginx.service is inactive"),
        ("is-active nginx.service) echo inactive; exit 3", " systemctl start nginx.service; journalctl -u nginx"),
        ("is-active kiln.service) echo activating; exit 3", "problem: kiln.service is activating"),
        ("is-active kiln.service) echo failed; exit 3", "reset-failed kiln.service && systemctl start kiln.service"),
        ("is-active kiln.socket) echo inactive; exit 3", "problem: kiln.socket is inactive"),
        ("is-active kiln.service) exit 4", "kiln.service is not known to systemd"),
        ("is-active kiln.service) echo reloading", ""),
        ("is-enabled kiln.socket) echo disabled; exit 1", "warning: kiln.socket is disabled"),
        ("is-enabled kiln.socket) echo disabled; exit 1", "systemctl enable kiln.socket, unless that is meant."),
        ("is-enabled nginx.service) echo masked; exit 1", " systemctl unmask nginx.service && systemctl enable nginx"),
        ("is-enabled kiln.service) echo enabled-runtime", "warning: kiln.service is enabled-runtime"),
    ],
)
def test_units_that_do_not_run_or_do_not_come_back(node: Callable[[str], Chain], answer: str, said: str) -> None:
    question, _, rest = answer.partition(")")
    found = problems(units.check(node(f"'{question}'){rest};;")))
    assert said in found
    assert bool(found) == bool(said)


def test_a_systemctl_that_does_not_answer(node: Callable[[str], Chain], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "_SECONDS", 0.1)
    assert "systemctl does not answer within 0.1 s" in problems(units.check(node("*) exec sleep 5;;")))


def test_units_are_not_asked_for_elsewhere(
    node: Callable[[str], Chain], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another unit than the one in force, without one, and where no systemd runs."""
    chain = node("*) echo failed; exit 3;;")
    assert list(units.check(dataclasses.replace(chain, unit=None))) == []
    monkeypatch.setattr(units, "_SYSTEMD", tmp_path / "none")
    assert list(units.check(chain)) == []
    monkeypatch.setattr(units, "_SYSTEMD", tmp_path)
    monkeypatch.setattr(unit, "IN_FORCE", tmp_path / "other.service")
    assert list(units.check(chain)) == []


def test_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    assert "No such file" in problems(store.check(make(tmp_path, store=folder)))
    shutil.copytree(Settings().store, folder)
    assert problems(store.check(make(tmp_path, store=folder))) == ""
    assert "no model 'lion'" in problems(store.check(make(tmp_path, store=folder, model="lion")))
    (folder / "catdog" / "1" / "model.tflite").write_bytes(b"short")
    assert "model.tflite is incomplete" in problems(store.check(make(tmp_path, store=folder)))


@pytest.mark.parametrize("name", ["model.tflite", "golden.npz"])
def test_a_damaged_file_of_the_right_size(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "store"
    shutil.copytree(Settings().store, folder)
    file = folder / "catdog" / "1" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    found = problems(store.check(make(tmp_path, store=folder)))
    assert f"{file} is not the file that was built" in found
    assert "a restart will not come up with it" in found


def test_a_damaged_version_that_is_not_loaded_is_no_problem(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(Settings().store, folder)
    shutil.copytree(folder / "catdog" / "1", folder / "catdog" / "2")
    (folder / "catdog" / "1" / "golden.npz").write_bytes(b"")
    assert problems(store.check(make(tmp_path, store=folder))) == ""


def test_a_model_whose_engine_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engines._PACKAGES, "keras", "not_in_this_environment")
    assert problems(store.check(make(tmp_path))) == ""  # litert runs it
    found = problems(store.check(make(tmp_path, engine="keras")))
    assert "catdog version 1 is run by keras: the package not_in_this_environment is not here" in found
    assert "KILN_EXTRAS=keras" in found


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


def test_a_model_that_cannot_be_read_hides_no_other_problem(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(Settings().store, folder)
    (folder / "catdog" / "1" / "model.tflite").write_bytes(b"short")
    (folder / "cats").symlink_to("cats")
    (folder / "pets").mkdir()
    (folder / "pets" / "3").symlink_to("3")
    found = problems(store.check(make(tmp_path, store=folder)))
    assert "store: cats cannot be read: Too many levels of symbolic links" in found
    assert "store: pets/3 cannot be read: Too many levels of symbolic links" in found
    assert "model.tflite is incomplete" in found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what others may not")
def test_a_store_that_the_service_may_not_read(tmp_path: Path) -> None:
    shutil.copytree(Settings().store, tmp_path / "store")
    (tmp_path / "store").chmod(0o700)
    chain = make(tmp_path, store=tmp_path / "store", service="User=www-data")
    assert "www-data may not enter" in problems(store.check(chain))
    assert "no user nobody-here" in problems(store.check(make(tmp_path, service="User=nobody-here")))


@pytest.mark.parametrize("value", ["yes", "true", "On", "1"])
@pytest.mark.parametrize("linked", ["catdog", "catdog/1", "catdog/1/model.tflite"])
def test_a_version_that_is_hidden_from_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: str, value: str
) -> None:
    """Root, who asks, sees it all the same."""
    kept = tmp_path / "home" / "keep"
    monkeypatch.setattr(unit, "_HOMES", (tmp_path / "home",))
    folder = tmp_path / "store"
    shutil.copytree(Settings().store, folder)
    kept.parent.mkdir()
    (folder / linked).rename(kept)
    (folder / linked).symlink_to(kept)
    found = problems(store.check(make(tmp_path, store=folder, service=f"ProtectHome={value}")))
    assert f"{folder / linked} is in truth {kept}, and the unit's ProtectHome hides that" in found
    assert "Copy it into the store" in found
    assert problems(store.check(make(tmp_path, store=folder, service="ProtectHome=read-only"))) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what others may not")
@pytest.mark.parametrize("target", ["{0}/closed/keep", "../../closed/keep", "../../to/keep"])
def test_folders_that_a_link_leads_through(run: Path, tmp_path: Path, target: str) -> None:
    """Whose rights count as those of the folders in which it is."""
    folder, closed = run / "store", run / "closed"
    shutil.copytree(Settings().store, folder)
    closed.mkdir()
    (run / "to").symlink_to("closed")
    (folder / "catdog" / "1").rename(closed / "keep")
    (folder / "catdog" / "1").symlink_to(target.format(run))
    run.chmod(0o755)
    chain = make(tmp_path, store=folder, service="User=www-data")
    assert problems(store.check(chain)) == ""
    closed.chmod(0o700)
    assert f"www-data may not enter {run}/closed" in problems(store.check(chain))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what others may not")
@pytest.mark.parametrize("name", ["", "catdog", "catdog/1", "catdog/1/bundle.json"])
def test_what_the_service_reads_of_a_version(run: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(Settings().store, run / "store")
    run.chmod(0o755)
    (run / "store" / name).chmod(0o711 if name in ("", "catdog", "catdog/1") else 0o600)
    chain = make(tmp_path, store=run / "store", service="User=www-data")
    assert f"www-data may not read {run / 'store' / name}" in problems(store.check(chain))


@pytest.fixture
def copied(run: Path) -> Path:
    """A folder of code that everybody may read."""
    for name in ("app/static", "model/store/lion/1", "deploy/__pycache__"):
        (run / name).mkdir(parents=True)
    for name in ("api.py", "app/rule.py", "app/static/page.css", "deploy/drain.py"):
        (run / name).touch()
    run.chmod(0o755)
    return run


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what others may not")
@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("app", 0o700, "may not read {}/app."),
        ("app", 0o744, "may not enter {}/app."),
        ("api.py", 0o640, "may not read {}/api.py."),
        ("app/static/page.css", 0o600, "may not read {}/app/static/page.css."),
        ("", 0o700, "may not enter {}."),
        ("deploy/__pycache__", 0o700, ""),
        ("model/store", 0o700, ""),
    ],
)
def test_code_that_the_service_may_not_read(copied: Path, tmp_path: Path, name: str, mode: int, said: str) -> None:
    chain = make(tmp_path, service=f"User=www-data\nWorkingDirectory={copied}\n")
    assert problems(code.check(chain)) == ""
    (copied / name).chmod(mode)
    found = problems(code.check(chain))
    assert f"{said.format(copied)}" in found
    assert bool(found) == bool(said)
    assert not said or "chmod -R a+rX" in found


def test_code_that_the_service_does_not_find(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = make(tmp_path, service=f"User=nobody-here\nWorkingDirectory={copied}\n")
    assert "no user nobody-here" in problems(code.check(nobody))
    assert list(code.check(make(tmp_path, service="User=www-data\nWorkingDirectory=/nowhere\n"))) == []
    assert list(code.check(dataclasses.replace(nobody, unit=None))) == []
    monkeypatch.setattr(unit, "_HOMES", (copied,))
    hidden = make(tmp_path, service=f"ProtectHome=yes\nWorkingDirectory={copied}\n")
    assert f"ProtectHome hides {copied}" in problems(code.check(hidden))


def test_links_that_lead_nowhere_have_an_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        list(rights._folders(tmp_path / "a" / "file"))


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


def test_workers_of_gunicorns_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are what is started, whatever the settings say."""
    monkeypatch.setattr(cores, "usable", lambda: 4)
    service = tmp_path / "gunicorn.service"
    service.write_text("[Service]\nExecStart=python -m gunicorn --config deploy/gunicorn.conf.py --workers 9\n")
    chain, _ = chains.read(NGINX_CONF, service, None)
    assert chain
    assert (chain.workers, chain.settings.worker_count()) == (9, 4)
    found = problems(capacity.check(chain))
    assert "9 workers with 1 engine threads each want 9 cores" in found
    assert "Take --workers off gunicorn's command line" in found
    limit = "MemoryMax=600M"
    few, many = (dataclasses.replace(make(tmp_path, service=limit), gunicorn={**CONF, "workers": n}) for n in (1, 9))
    assert "600 MiB are there" not in problems(memory.check(few))
    assert "600 MiB are there" in problems(memory.check(many))


def test_memory_for_pictures(tmp_path: Path) -> None:
    def said(**settings: object) -> str:
        return " ".join(found.message for found in memory.check(make(tmp_path, **settings)))

    tight = {"workers": 2, "service": "MemoryMax=600M"}
    assert "The largest pictures that are taken, one in each worker at a time, need 1,300 MiB more." in said(**tight)
    assert "pictures" not in said(**tight, max_pixels=5_000_000)


def test_memory(tmp_path: Path) -> None:
    said = problems(memory.check(make(tmp_path, workers=4, service="MemoryMax=100M")))
    assert "100 MiB are there" in said
    assert "KILN_WORKERS" in said


def test_file_limits(tmp_path: Path) -> None:
    assert "may open 1024 files" in problems(files.check(make(tmp_path, service="LimitNOFILE=1024")))
    conf = make(tmp_path, "worker_rlimit_nofile 49152", "worker_rlimit_nofile 20000")
    assert "nginx may open 20000 files" in problems(files.check(conf))


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://10.0.0.1:4318"}


def test_traces_that_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = make(tmp_path, service="PrivateNetwork=yes")
    assert list(traces.check(chain)) == []
    fenced = dataclasses.replace(chain, environment=ENDPOINT)
    assert "warning: Traces are asked for and none is sent: the unit has PrivateNetwork=yes" in problems(
        traces.check(fenced)
    )
    opened = dataclasses.replace(make(tmp_path, service="PrivateNetwork=no"), environment=ENDPOINT)
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, name, None)
    found = problems(traces.check(opened))
    assert f"warning: Traces are asked for and the package {name} is missing." in found
    assert extras.install("tracing") in found


def test_traces_that_are_sent(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    assert problems(traces.check(dataclasses.replace(make(tmp_path), environment=ENDPOINT))) == ""


def test_the_environment_of_the_service_is_looked_at(tmp_path: Path) -> None:
    service = tmp_path / "kiln.service"
    service.write_text("[Service]\nEnvironment=OTEL_EXPORTER_OTLP_ENDPOINT=http://10.0.0.1:4318\nPrivateNetwork=yes\n")
    chain, _ = chains.read(NGINX_CONF, service, None)
    assert chain
    assert "PrivateNetwork=yes" in problems(traces.check(chain))
