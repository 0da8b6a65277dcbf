"""TLS in nginx.conf, uncommented as the file says, with a certificate made here."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from deploy.doctor import nginx
from tests import servers
from tests.servers import NGINX_CONF, ROOT, assert_error, connect, exchange, read_answer, wait_for
from tests.stand_in import Backend, few

pytestmark = pytest.mark.server


@dataclass
class Tls:
    """nginx with TLS: its ports, and the certificate it shows."""

    plain: int
    port: int
    certificate: Path

    def curl(self, path: str, *options: str) -> subprocess.CompletedProcess[str]:
        program = shutil.which("curl")
        if program is None:
            pytest.skip("curl is not installed")
        address = f"https://localhost:{self.port}{path}"
        command = [program, "--silent", "--show-error", "--max-time", "20", "--cacert", self.certificate, *options]
        return subprocess.run([*command, address], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    with serving(tmp_path_factory.mktemp("tls")) as found:
        yield found


@contextlib.contextmanager
def serving(folder: Path, change: Callable[[str], str] = str) -> Iterator[Tls]:
    """change: what a test must shorten in nginx.conf."""
    nginx, openssl = servers.nginx_program(), shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    certificate = folder / "fullchain.pem"
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", certificate]
    subprocess.run([*made, "-keyout", folder / "privkey.pem"], capture_output=True, check=True)
    with contextlib.ExitStack() as stack:
        run = stack.enter_context(servers.short_folder())
        stack.enter_context(Backend(run).serving())
        plain, port = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        text = servers.nginx_conf(folder, run, plain.getsockname()[1])
        text = servers.with_tls(text, port.getsockname()[1]).replace("/etc/nginx/tls/", f"{folder}/")
        (folder / "nginx.conf").write_text(change(text))
        command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
        for listener in (plain, port):
            listener.setblocking(False)
        handed = [plain.fileno(), port.fileno()]
        environment = servers.clean_environment() | {"NGINX": "".join(f"{number};" for number in handed)}
        log = folder / "nginx.log"
        stack.enter_context(servers.running(command, log, env=environment, pass_fds=handed))
        ports = [listener.getsockname()[1] for listener in (plain, port)]
        for listener in (plain, port):
            listener.close()
        found = Tls(*ports, certificate)
        wait_for(lambda: answers(ports[0]), f"nginx to answer; see {log}")
        yield found


def answers(port: int) -> bool:
    try:
        return exchange(f"http://127.0.0.1:{port}", b"GET / HTTP/1.0\r\n\r\n") is not None
    except OSError:
        return False


def test_http_2(tls: Tls, photo_path: Path) -> None:
    form = ("--http2", "--write-out", "\n%{http_version} %{http_code}")
    done = tls.curl("/predict", *form, "--data-binary", f"@{photo_path}", "-H", "X-Request-ID: two")
    assert done.returncode == 0, done.stderr
    content, _, said = done.stdout.rpartition("\n")
    assert said == "2 200"
    told = json.loads(content)
    assert told["X-Forwarded-Proto"] == "https"
    assert told["X-Request-ID"] == "two"
    assert int(told["Content-Length"]) == photo_path.stat().st_size


@pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.2")
def test_health_checks_that_may_have_a_body_are_limited_apart(tmp_path: Path, photo_path: Path) -> None:
    """In HTTP/2 a body needs no header, so that nginx learns of it after it has counted."""
    with serving(tmp_path, few) as tls:

        def asked(path: str, *options: str) -> list[str]:
            form = ("--interface", "127.0.0.2", "--output", "/dev/null", "--write-out", "%{http_code}", *options)
            return [tls.curl(path, *form).stdout for _ in range(4)]

        assert asked("/predict", "--http2") == ["200", "200", "200", "429"]
        body = ("-X", "GET", "-H", "Content-Length:", "--data-binary", f"@{photo_path}")
        assert asked("/ready", "--http2", *body) == ["200", "200", "200", "429"]
        assert asked("/ready", "--http1.1") == ["200"] * 4
        assert asked("/ready", "--http2", "-H", "Content-Length: 0") == ["200"] * 4


def test_http_1_1_too(tls: Tls) -> None:
    assert tls.curl("/live", "--http1.1", "--output", "/dev/null", "--write-out", "%{http_version}").stdout == "1.1"


def test_clients_are_told_to_stay_with_tls(tls: Tls) -> None:
    for path in ("/live", "/.kiln-error"):  # of the application, and of nginx
        head = tls.curl(path, "--head").stdout
        assert "strict-transport-security: max-age=15768000" in head.lower()


def test_errors_have_the_one_form(tls: Tls) -> None:
    body = json.loads(tls.curl("/.kiln-error").stdout)
    assert body["error"]["code"] == "not_found"


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize(("path", "body"), [("/predict", dict), ("/v1/models/catdog:predict", str)])
def test_a_body_that_is_too_large(tls: Tls, tmp_path: Path, version: str, path: str, body: type) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(12_000_000))
    done = tls.curl(path, version, "--write-out", "\n%{http_code} %{content_type}", "--data-binary", f"@{large}")
    content, _, said = done.stdout.rpartition("\n")
    assert said == "413 application/json"
    assert isinstance(json.loads(content)["error"], body)


@pytest.mark.parametrize(
    ("line", "status"),
    [("TRACE / HTTP/1.1", 405), (f"GET /{'a' * 9000} HTTP/1.1", 414), ("GET /metrics HTTP/1.1\r\nX: a b\r\n c", 400)],
)
def test_errors_of_port_80_have_the_one_form(tls: Tls, line: str, status: int) -> None:
    answer = exchange(f"http://127.0.0.1:{tls.plain}", f"{line}\r\nHost: kiln.test\r\n\r\n".encode())
    assert answer is not None
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"]


def test_plain_http_is_sent_to_https(tls: Tls) -> None:
    with connect(f"http://127.0.0.1:{tls.plain}") as connection:
        connection.sendall(b"POST /predict?top=1 HTTP/1.1\r\nHost: kiln.test\r\nContent-Length: 0\r\n\r\n")
        answer = read_answer(connection)
    assert answer is not None
    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://kiln.test/predict?top=1"
    assert answer.headers["X-Request-ID"]


def test_prometheus_on_this_machine_still_scrapes_port_80(tls: Tls) -> None:
    """With the address and the path of prometheus.yml, where the certificate would be for another name."""
    [target] = yaml.safe_load((ROOT / "deploy" / "monitoring" / "prometheus.yml").read_text())["scrape_configs"]
    assert target["static_configs"] == [{"targets": ["127.0.0.1:80"]}]
    answer = exchange(
        f"http://127.0.0.1:{tls.plain}", f"GET {target['metrics_path']} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    )
    assert answer is not None
    assert answer.status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.2")
@pytest.mark.parametrize("path", ["/metrics", "//metrics", "/%6detrics"])
def test_metrics_on_port_80_are_for_this_machine_only(tls: Tls, path: str) -> None:
    with connect(f"http://127.0.0.1:{tls.plain}", source="127.0.0.2") as other:
        other.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = read_answer(other)
    assert answer is not None
    assert answer.status_code == 308
    assert answer.headers["Location"].startswith("https://x/")
    assert (
        tls.curl("/metrics", "--interface", "127.0.0.2", "--output", "/dev/null", "--write-out", "%{http_code}").stdout
        == "403"
    )


def test_doctor_finds_metrics_closed_with_tls(tls: Tls, tmp_path: Path) -> None:
    text = servers.with_tls(servers.nginx_conf(tmp_path, Path("/run/kiln"), 80)).replace("127.0.0.1:80 ", "80 ")
    (tmp_path / "nginx.conf").write_text(text.replace("/etc/nginx/tls/", f"{tls.certificate.parent}/"))
    command = [sys.executable, "-m", "deploy.doctor", "--json", "--nginx", str(tmp_path / "nginx.conf")]
    environment = servers.clean_environment(bind="unix:/run/kiln/kiln.sock")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    wrong = {one["check"] for one in json.loads(done.stdout)["findings"] if one["level"] == "problem"}
    assert wrong <= {"sockets"}  # nothing runs there


def test_with_ipv6_nothing_is_served_in_the_clear(tmp_path: Path) -> None:
    """Made as the comments say: the first `listen [::]` keeps its #, the others lose theirs."""
    first, *others = servers.with_tls(NGINX_CONF.read_text()).split("# listen [::]")
    assert first.endswith(" ")
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"{first}# listen [::]{'listen [::]'.join(others)}")
    found = [one for one in nginx.find(nginx.read(conf), "server") if one.block]
    listens = [[one.arguments[0] for one in server.block if one.name == "listen"] for server in found]
    assert listens == [["443", "[::]:443"], ["80", "[::]:80"]]


def test_plain_http_on_the_port_of_tls_is_told_so(tls: Tls) -> None:
    answer = exchange(f"http://127.0.0.1:{tls.port}", b"GET / HTTP/1.1\r\nHost: kiln.test\r\n\r\n")
    assert_error(answer, 400, "bad_request")


def test_old_tls_is_refused(tls: Tls) -> None:
    context = ssl.create_default_context(cafile=str(tls.certificate))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with (
        connect(f"http://127.0.0.1:{tls.port}") as connection,
        pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|protocol version|no protocols"),
    ):
        context.wrap_socket(connection, server_hostname="localhost")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_modern_tls_is_taken(tls: Tls, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=str(tls.certificate))
    context.minimum_version = context.maximum_version = version
    with (
        connect(f"http://127.0.0.1:{tls.port}") as connection,
        context.wrap_socket(connection, server_hostname="localhost") as secured,
    ):
        cipher = secured.cipher()
    assert cipher is not None
    assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]
