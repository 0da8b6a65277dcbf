"""The shipped nginx.conf, run as it ships: its own answers, what it keeps from the workers, and its fit to the code."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import psutil
import pytest
import requests

from app import errors, routes
from app.dialects import kiln_error
from app.openapi.document import document
from app.settings import Settings
from app.telemetry import request_id
from deploy import answers
from tests import servers
from tests.servers import NGINX_CONF, ROOT, Server, assert_error, connect, exchange, post_head, read_answer, wait_for
from tests.stand_in import Backend, before_backend, shorter

pytestmark = pytest.mark.server

CONF = NGINX_CONF.read_text()
UNITS = {"": 1, "s": 1, "m": 60, "k": 1024}


def directive(name: str) -> str:
    """The value of a directive that the file gives once, but for no limit at all on the way to an error."""
    [value] = set(re.findall(rf"^ *{name} ([^;]+);", CONF, re.MULTILINE)) - {"0"}
    return value


def seconds(name: str) -> int:
    return int(directive(name).removesuffix("s"))


def entries(variable: str) -> dict[str, str]:
    """A map of the file."""
    [block] = re.findall(rf"^ *map \S+ \${variable} \{{\n(.*?)^ *\}}", CONF, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r'^ *("[^"]*"|\S+) +"?(.*?)"?;', block, re.MULTILINE))


# --- The file ships as it is tested ---------------------------------------------------------------------------------


def test_the_tests_change_only_what_belongs_to_the_machine(proxied: Server) -> None:
    """The file that nginx runs here is the file that ships, but for its user, port and folders."""
    ran = (proxied.log.parent / "nginx.conf").read_text().splitlines()
    shipped = CONF.splitlines()
    assert len(ran) == len(shipped)
    changed = [line.strip() for line, other in zip(shipped, ran, strict=True) if line != other]
    assert changed == [
        "user www-data;",
        "pid /run/nginx.pid;",
        "error_log /var/log/nginx/error.log warn;",
        "access_log /var/log/nginx/access.log kiln if=$kiln_is_logged;",
        "client_body_temp_path /var/lib/nginx/body;",
        "proxy_temp_path /var/lib/nginx/proxy;",
        "fastcgi_temp_path /var/lib/nginx/fastcgi; # these three stay empty; nginx makes them all the same",
        "uwsgi_temp_path /var/lib/nginx/uwsgi;",
        "scgi_temp_path /var/lib/nginx/scgi;",
        "server unix:/run/kiln/kiln.sock max_fails=0;",
        "listen 80 default_server;",
    ]


@pytest.mark.parametrize("prefix", ["", "/some/prefix/"])
def test_nginx_accepts_it_without_a_warning(tmp_path: Path, prefix: str) -> None:
    program = servers.nginx_program()
    conf = tmp_path / "nginx.conf"
    conf.write_text(servers.nginx_conf(tmp_path, tmp_path, 8080, prefix))
    done = subprocess.run([program, "-t", "-p", tmp_path, "-c", conf], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


# --- It fits the code -----------------------------------------------------------------------------------------------


def test_the_body_limit_is_the_application_s() -> None:
    size = directive("client_max_body_size")
    assert int(size[:-1]) * {"k": 1 << 10, "m": 1 << 20}[size[-1]] == Settings().max_body_bytes
    # Whoever changes the limit need not change the text.
    assert not re.search(r"\d", entries("kiln_error_message")["413"])


def test_the_request_id_rule_is_the_application_s() -> None:
    rules = entries("kiln_request_id")
    assert rules == {"default": "$request_id", f'"~^{request_id._SANE.pattern}$"': "$http_x_request_id"}


READ_GUNICORN_CONF = """
import json, runpy
conf = runpy.run_path("deploy/gunicorn.conf.py")
conf["on_exit"](None)  # it has made a folder for the metrics
print(json.dumps({name: conf[name] for name in ("timeout", "graceful_timeout", "keepalive")}))
"""


def test_timeouts_are_in_order() -> None:
    """What is further from the client gives up first, so that the reason reaches it."""
    command = [sys.executable, "-c", READ_GUNICORN_CONF]
    done = subprocess.run(
        command, cwd=ROOT, env=servers.clean_environment(), capture_output=True, text=True, check=True
    )
    gunicorn = json.loads(done.stdout)
    body_timeout = Settings().body_timeout
    assert answers.HEAD_SECONDS < body_timeout < gunicorn["timeout"] < seconds("proxy_read_timeout")
    # Idle connections between nginx and gunicorn: nginx closes first.
    idle = [int(value) for value in re.findall(r"^ *keepalive_timeout (\d+)s;", CONF, re.MULTILINE)]
    to_clients, to_gunicorn = idle
    assert to_gunicorn < gunicorn["keepalive"]
    assert to_clients > 60
    assert seconds("client_body_timeout") <= body_timeout


def test_codes_are_those_of_the_application() -> None:
    """The same mistake has the same code, whoever finds it."""
    codes = entries("kiln_error_code")
    ours = {str(status): code for status, (code, _) in errors._HTTP_CODES.items()}
    ours |= {str(status): code for status, code, _ in answers._FAULTS.values()}
    ours["default"] = answers._OURS[1]
    for status in codes.keys() & ours.keys():
        assert codes[status] == ours[status], status
    assert codes.keys() == entries("kiln_error_message").keys()
    pages = re.findall(r"error_page ([^/;]+)/\.kiln-error", CONF)
    answered = set(re.findall(r"\d{3}", " ".join(pages))) - {"494", "497"}
    assert answered == codes.keys() - {"default"} | {"500"}


# --- nginx's own answers --------------------------------------------------------------------------------------------


def test_its_own_answers_have_the_one_form(proxied: Server) -> None:
    long = "a" * 9000
    url = proxied.url
    too_large = exchange(url, post_head("/predict", f"Content-Length: {11 << 20}", "X-Request-ID: mine"))
    assert_error(too_large, 413, "body_too_large")
    assert too_large is not None
    assert too_large.headers["X-Request-ID"] == "mine"
    assert_error(requests.get(f"{url}/{long}", timeout=10), 414, "uri_too_long")
    assert_error(requests.get(url, headers={"X-Long": long}, timeout=10), 431, "headers_too_large")
    assert_error(exchange(url, b"hello\r\n\r\n"), 400, "bad_request")
    assert_error(exchange(url, b"GET / HTTP/1.1\r\n\r\n"), 400, "bad_request")  # no Host
    assert_error(exchange(url, b"GET / HTTP/7.0\r\nHost: x\r\n\r\n"), 505, "http_version_not_supported")
    refused = requests.request("TRACE", url, timeout=10)
    assert_error(refused, 405, "method_not_allowed")
    assert refused.headers["Allow"] == entries("kiln_allow")["405"]
    not_found = requests.get(f"{url}/.kiln-error", timeout=10)
    assert_error(not_found, 404, "not_found")
    assert "Allow" not in not_found.headers


FOREIGN = ["/v1/models/catdog:predict", "/V1/models/catdog", "/v2/models/catdog/infer?x=1", "/v2", "/invocations"]


@pytest.mark.parametrize("path", FOREIGN)
def test_its_own_answers_are_in_the_dialect_of_the_path(proxied: Server, path: str) -> None:
    answer = exchange(proxied.url, post_head(path, f"Content-Length: {11 << 20}", "X-Request-ID: mine"))
    assert answer is not None
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/json")
    assert answer.json() == {"error": entries("kiln_error_message")["413"]}
    assert answer.headers["X-Request-ID"] == "mine"


def test_the_paths_of_dialects_are_the_application_s() -> None:
    [foreign] = [rule.strip('"').removeprefix("~*") for rule in entries("kiln_error") if rule != "default"]
    spoken = routes.spoken(Settings())
    documented = document([], Settings(), spoken)["paths"]
    for path in [*documented, "/v1/nothing", "/v2/nothing", "/v1", "/v10/x", "/v2x", "/pings", "/predict?at=/v1/"]:
        is_foreign = spoken.of(path.partition("?")[0]).error is not kiln_error
        for prefix in ("", "/some/prefix"):
            assert bool(re.match(foreign, prefix + path, re.IGNORECASE)) == is_foreign, prefix + path


def test_the_methods_that_nginx_names_are_the_application_s() -> None:
    documented = document([], Settings(), routes.spoken(Settings()))["paths"].values()
    used = {method.upper() for operations in documented for method in operations}
    assert set(entries("kiln_allow")["405"].split(", ")) == used | {"HEAD", "OPTIONS"}


def test_the_application_s_errors_pass_untouched(proxied: Server) -> None:
    answer = requests.get(f"{proxied.url}/predict", headers={"X-Request-ID": "mine"}, timeout=10)
    message = assert_error(answer, 405, "method_not_allowed")["message"]
    assert "Allow header" in message  # its words, not nginx's
    assert answer.headers["Allow"].startswith(("POST", "OPTIONS"))
    assert answer.headers["X-Request-ID"] == "mine"


UNWANTED = [
    ("PUT", "/predict", 405),
    ("PATCH", "/predict", 405),
    ("OPTIONS", "/predict", 200),
    ("PUT", "/v1/models/catdog", 400),
    ("POST", "/models?x=1", 405),
    ("GET", "/models", 200),
]


@pytest.mark.parametrize(("method", "path", "status"), UNWANTED)
def test_the_answer_comes_through_where_the_body_is_not_wanted(
    proxied: Server, method: str, path: str, status: int
) -> None:
    """A worker that closed its connection to nginx before it has all would often make it a 502."""
    body = bytes(9 << 20)
    answered = {requests.request(method, proxied.url + path, data=body, timeout=20).status_code for _ in range(10)}
    assert answered == {status}


@pytest.mark.parametrize("lost", ["stopped", "killed"])
def test_gunicorn_is_gone(tmp_path: Path, photo: bytes, lost: str) -> None:
    with servers.behind_nginx(tmp_path, workers=1) as base:
        assert base.backend is not None
        metrics = base.metrics_folder()
        if lost == "stopped":
            base.backend.process.terminate()
        else:
            workers = psutil.Process(base.backend.process.pid).children()
            base.backend.process.kill()  # first: it would start another worker
            for worker in workers:
                worker.kill()
            psutil.wait_procs(workers, 10)
        base.backend.process.wait(10)
        shutil.rmtree(metrics, ignore_errors=True)  # who is killed leaves it
        answer = requests.post(f"{base.url}/predict", data=photo, timeout=10)
        assert_error(answer, 502, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0


# --- The request id -------------------------------------------------------------------------------------------------


def log_line(proxied: Server, identity: str) -> dict[str, Any]:
    """The line of nginx's log for a request."""
    log = proxied.log.parent / "access.log"

    def found() -> list[dict[str, Any]]:
        # Bytes of a client that are no UTF-8 stand in the log as they came.
        lines = map(json.loads, filter(None, log.read_bytes().decode(errors="replace").split("\n")))
        return [line for line in lines if line["request_id"] == identity]

    return wait_for(found, f"{identity} in {log}")[0]


def test_the_client_s_id_goes_through(proxied: Server, photo: bytes) -> None:
    identity = "test:goes/through+1"
    answer = requests.post(f"{proxied.url}/predict", data=photo, headers={"X-Request-ID": identity}, timeout=10)
    assert answer.headers["X-Request-ID"] == identity
    assert answer.json()["request_id"] == identity
    line = log_line(proxied, identity)
    assert line["request"] == "POST /predict HTTP/1.1"
    assert line["status"] == 200
    assert line["bytes_in"] > len(photo)
    assert float(line["upstream_seconds"]) >= 0
    assert line["seconds"] >= 0


@pytest.mark.parametrize("offered", [None, "", "two words", "a" * 129, '"quoted"'])
def test_an_id_is_made_where_there_is_none(proxied: Server, offered: str | None) -> None:
    answer = requests.get(f"{proxied.url}/nowhere", headers={"X-Request-ID": offered}, timeout=10)
    assert_error(answer, 404, "not_found")
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert log_line(proxied, answer.headers["X-Request-ID"])["status"] == 404


def test_an_id_is_on_every_answer(base: Server) -> None:
    for path in ("/", "/live", "/ready", "/version", "/metrics", "/openapi.json", "/static/demo.css"):
        answer = requests.get(base.url + path, headers={"X-Request-ID": "one"}, timeout=10)
        assert answer.status_code == 200
        assert answer.headers["X-Request-ID"] == "one"  # once, not twice


def test_static_files_are_whole(base: Server) -> None:
    for file in (ROOT / "app" / "static").iterdir():
        answer = requests.get(f"{base.url}/static/{file.name}", timeout=10)
        assert answer.status_code == 200
        assert answer.content == file.read_bytes()


# --- What nginx keeps from the workers ------------------------------------------------------------------------------


def test_slow_bodies_do_not_occupy_the_worker(tmp_path: Path, photo: bytes) -> None:
    with servers.behind_nginx(tmp_path, workers=1, threads=1) as base, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(base.url)) for _ in range(8)]
        for connection in slow:
            connection.sendall(post_head("/predict", f"Content-Length: {len(photo)}") + photo[:1000])
        # The one thread is free for whoever sends all of it.
        assert requests.post(f"{base.url}/predict", data=photo, timeout=5).status_code == 200
        for connection in slow:
            connection.sendall(photo[1000:])
        for connection in slow:
            answer = read_answer(connection)
            assert answer is not None
            assert answer.status_code == 200


def test_headers_of_the_client_cannot_contradict_nginx(proxied: Server) -> None:
    """gunicorn refuses a request in which these differ; from here only nginx's word counts."""
    claims = {"X-Forwarded-Ssl": "on", "X-Forwarded-Protocol": "ssl", "X-Forwarded-Proto": "gopher"}
    assert requests.get(f"{proxied.url}/live", headers=claims, timeout=10).status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.2")
def test_metrics_are_for_this_machine_only(proxied: Server) -> None:
    assert requests.get(f"{proxied.url}/metrics", timeout=10).status_code == 200
    with connect(proxied.url, source="127.0.0.2") as other:
        other.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert_error(read_answer(other), 403, "forbidden")
        other.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = read_answer(other)
    assert answer is not None
    assert answer.status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.2")
@pytest.mark.parametrize("path", ["/metrics?x", "//metrics", "/./metrics", "/a/../metrics", "/%6detrics", "/metrics#x"])
def test_no_other_spelling_of_metrics_gets_in(proxied: Server, path: str) -> None:
    with connect(proxied.url, source="127.0.0.2") as other:
        other.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert_error(read_answer(other), 403, "forbidden")


@pytest.mark.parametrize("path", ["/metrics/", "/METRICS", "/metrics;x", "/metrics%20", "/static/../metrics%2f"])
def test_what_nginx_takes_for_another_path_is_another_one(proxied: Server, path: str) -> None:
    with connect(proxied.url) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert_error(read_answer(connection), 404, "not_found")


def test_no_answer_is_sniffed_and_none_says_what_nginx_this_is(proxied: Server) -> None:
    for path in ("/", "/live", "/static/demo.js", "/nowhere", "/.kiln-error"):  # of the application, and of nginx
        answer = requests.get(proxied.url + path, timeout=10)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"  # once, not twice
        assert answer.headers["Server"] == "nginx"
        assert "Strict-Transport-Security" not in answer.headers  # there is no TLS


def test_text_is_compressed(proxied: Server) -> None:
    for path in ("/", "/openapi.json", "/static/demo.js", "/static/demo.css"):
        with requests.get(proxied.url + path, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=10) as answer:
            assert answer.headers["Content-Encoding"] == "gzip", path
            assert "Accept-Encoding" in answer.headers["Vary"]
            plain = requests.get(proxied.url + path, headers={"Accept-Encoding": ""}, timeout=10)
            assert "Content-Encoding" not in plain.headers
            assert gzip.decompress(answer.raw.read()) == plain.content


# --- Connections to gunicorn, seen from its side ----------------------------------------------------------------------


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[tuple[str, Backend]]:
    with before_backend(tmp_path) as both:
        yield both


def test_connections_to_gunicorn_are_used_again(stand_in: tuple[str, Backend]) -> None:
    url, backend = stand_in
    before = backend.connections
    with requests.Session() as session:  # one connection, so one process of nginx
        for _ in range(20):
            assert session.post(url, data=b"x", timeout=10).status_code == 200
    assert backend.connections <= before + 1


def test_a_post_that_may_have_run_is_not_sent_again(stand_in: tuple[str, Backend]) -> None:
    """Neither on a new connection to gunicorn nor on one that was kept."""
    url, backend = stand_in
    with requests.Session() as session:
        for _ in range(3):
            assert_error(session.post(f"{url}/crash", data=b"x", timeout=10), 502, "unavailable")
            assert session.get(f"{url}/live", timeout=10).status_code == 200
    assert backend.requests.count("POST /crash") == 3


def test_what_gunicorn_is_told(stand_in: tuple[str, Backend]) -> None:
    url, _ = stand_in
    claims = {
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Ssl": "off",
        "Host": "kiln.test:81",
    }
    told = requests.get(url, headers=claims, timeout=10).json()
    assert told["X-Forwarded-For"] == "192.0.2.1, 127.0.0.1"
    assert told["X-Forwarded-Proto"] == "https"
    assert told["X-Forwarded-Host"] == "kiln.test:81"
    assert told["Host"] == "kiln.test"
    assert re.fullmatch(r"t=\d+\.\d{3}", told["X-Request-Start"])
    assert re.fullmatch(r"[0-9a-f]{32}", told["X-Request-ID"])
    assert not told.keys() & {"Connection", "X-Forwarded-Ssl", "X-Forwarded-Protocol"}


def test_a_stalled_client_never_reaches_gunicorn(stand_in: tuple[str, Backend]) -> None:
    url, backend = stand_in
    with connect(url) as connection:
        connection.sendall(post_head("/predict", "Content-Length: 1000") + b"x" * 999)
        assert requests.post(f"{url}/other", data=b"x", timeout=10).status_code == 200
        assert "POST /predict" not in backend.requests
        connection.sendall(b"x")
        assert read_answer(connection) is not None
    assert "POST /predict" in backend.requests


def test_no_answer_in_time(tmp_path: Path) -> None:
    with before_backend(tmp_path, shorter("proxy_read_timeout")) as (url, backend):
        answer = requests.post(f"{url}/hang", data=b"x", timeout=10)
        assert_error(answer, 504, "timeout")
        assert int(answer.headers["Retry-After"]) > 0
    assert backend.requests.count("POST /hang") == 1


@pytest.mark.parametrize("name", ["client_body_timeout", "client_header_timeout"])
def test_a_silent_client_is_cut_off(tmp_path: Path, name: str) -> None:
    with before_backend(tmp_path, shorter(name)) as (url, backend), connect(url) as connection:
        head = post_head("/predict", "Content-Length: 1000")
        connection.sendall(head + b"x" if "body" in name else head[:-2])
        assert read_answer(connection) is None
    assert "POST /predict" not in backend.requests


# --- Below a prefix -------------------------------------------------------------------------------------------------


def test_the_page_works_below_a_prefix(prefixed_service: Server, photo: bytes) -> None:
    home = prefixed_service.url
    assert home.endswith("/some/prefix/")
    page = requests.get(home, timeout=10)
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href|action)="([^"#]*)"', page.text)
    assert "static/demo.js" in addresses
    for address in addresses:
        if address != "predict":
            assert requests.get(urljoin(home, address), timeout=10).status_code == 200, address
    assert requests.post(urljoin(home, "predict"), data=photo, timeout=10).status_code == 200
    document = requests.get(urljoin(home, "openapi.json"), timeout=10).json()
    [server] = document["servers"]
    assert urljoin(urljoin(home, "openapi.json"), server["url"]) == home


def test_nothing_else_is_published_with_a_prefix(prefixed_service: Server) -> None:
    root = prefixed_service.url.removesuffix("/some/prefix/")
    for path in ("/", "/predict", "/live", "/some/prefix/metrics", "/static/demo.js"):
        assert_error(requests.get(root + path, timeout=10), 404, "not_found")
    assert requests.get(f"{root}/metrics", timeout=10).status_code == 200
    assert requests.get(f"{root}/some/prefix", timeout=10).url == prefixed_service.url  # led to the slash
