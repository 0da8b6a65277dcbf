"""The ladder's figures, its page, and its generator against servers that behave badly."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import json
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from loadtest.bodies import Bodies
from loadtest.load import ladder, page, plots, tls, users
from loadtest.load.__main__ import main
from loadtest.load.ladder import Point
from loadtest.load.watch import GENERATOR, Watch
from loadtest.photos import WAYS, read_photos
from loadtest.processes import Failed
from tests.servers import ROOT

pytestmark = pytest.mark.unit

REQUEST = users.post("kiln.test", "/predict", b"photo", "image/jpeg")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def a_point(number: int = 1) -> Point:
    point = Point(number, [100.0, 90.0, 110.0], [[1.0, 2.0, 30.0], [4.0], [5.0, 6.0]])
    point.cores = {GENERATOR: [0.1, 0.1, 0.1], "1 gunicorn": [0.5, 1.0, 1.5], "2 gunicorn": [0.5, 0.5, 0.5]}
    point.memory_mb = {name: [20.0, 20.0, 21.0] for name in point.cores}
    return point


def test_percentiles_are_of_each_round() -> None:
    p50, p99 = a_point().percentile(50), a_point().percentile(99)
    assert p50 is not None
    assert p99 is not None
    assert p50.values == (2, 4, 5)
    assert p99.values == (30, 4, 6)


def test_cpu_is_the_servers_own_share_of_the_machine() -> None:
    cpu = a_point().cpu(2)
    assert cpu is not None
    assert cpu.values == (0.5, 0.75, 1.0)
    assert Point(1, cores={GENERATOR: [0.5]}).cpu(2) is None


def test_every_answer_is_in_the_histogram() -> None:
    histogram = a_point().histogram()
    assert sum(histogram["counts"]) == 6
    assert len(histogram["edges_ms"]) == len(histogram["counts"]) + 1
    assert histogram["edges_ms"][1] == 1
    assert histogram["edges_ms"][-1] == pytest.approx(10**1.5)


def test_a_point_says_what_speaks_against_it() -> None:
    point = a_point()
    assert point.faults() == []
    point.errors["status 503"] += 7
    point.latencies[1] = []
    point.cores[GENERATOR][0] = 0.95
    assert point.faults()[:2] == ["7 x status 503", "a round without any answer"]
    assert point.faults()[2].startswith("the load generator was busy")
    assert point.to_json(2)["p99_ms"] is None


def report(*points: Point, **facts: str) -> dict[str, Any]:
    shown = [point.to_json(2) for point in points]
    head = {"made": "now", "rounds": 3, "seconds": 20.0, "warnings": [], "facts": facts}
    return json.loads(json.dumps({**head, "points": shown}))


def test_the_page_holds_everything_and_escapes_it(tmp_path: Path) -> None:
    failed = Point(50, [0.0], [[]])  # no process was watched, nothing was answered
    found = report(a_point(), a_point(2), failed, Server="<script>")
    captions = plots.draw(found, tmp_path)
    text = page.render(found, tmp_path, captions)
    assert text.count("data:image/png;base64,") == len(captions) == 4
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "100 (90–110)" in text
    assert "75 (50–100)" in text
    assert "1.00 (0.50–1.50)<br>20 (20–21)" in text
    assert "a round without any answer" in text


def test_figures_show_errors_spreads_and_whole_users() -> None:
    failing = a_point(2)
    failing.errors["status 503"] += 2  # beside six answers
    points = report(a_point(), failing)["points"]
    for draw in (plots._throughput, plots._processes):
        figure = Figure()
        FigureCanvasAgg(figure)
        draw(figure, points)
        figure.draw_without_rendering()
        for axes in figure.axes:
            assert all(tick == int(tick) for tick in axes.get_xticks())
        if draw is plots._throughput:
            assert list(figure.axes[1].lines[0].get_ydata()) == [0, 25]
        else:
            assert [len(axes.containers) for axes in figure.axes] == [3, 3]  # bars of the spread, by process


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def serve(listener: socket.socket, *answers: bytes) -> threading.Thread:
    """Answer each connection's requests in turns with `answers`, b"" closes; ends when the listener is closed."""

    def one(connection: socket.socket) -> None:
        with connection:
            turn = 0
            while connection.recv(65536):
                if not (answer := answers[turn % len(answers)]):
                    return
                connection.sendall(answer)
                turn += 1

    def accept() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            threads.append(threading.Thread(target=one, args=(connection,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    threads: list[threading.Thread] = []
    thread = threading.Thread(target=accept)
    thread.start()
    return thread


def test_every_answer_and_every_error_is_counted(listener: socket.socket) -> None:
    refused = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    thread = serve(listener, OK, refused)
    outcome = users.run(listener.getsockname(), [REQUEST], 2, 0.2)
    thread.join()
    assert set(outcome.errors) == {"status 503"}
    assert 0 <= len(outcome.answered) - outcome.errors["status 503"] <= 2
    assert all(took > 0 for took in outcome.answered)


def chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    body = b"".join(b"%X;name=value\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n" + body + b"0\r\n" + trailers + b"\r\n"


@pytest.mark.parametrize(
    "answer",
    [chunked(b'{"predictions": []}'), chunked(b"0\r\n\r\n", 70000 * b"x"), chunked(b"x", trailers=b"A: 1\r\nB: 2\r\n")],
)
def test_chunked_answers_are_read_to_their_end(listener: socket.socket, answer: bytes) -> None:
    thread = serve(listener, answer)
    outcome = users.run(listener.getsockname(), [REQUEST], 2, 0.1)
    thread.join()
    assert outcome.answered
    assert not outcome.errors


def test_every_part_of_a_chunked_answer_is_waited_for() -> None:
    for answer in (chunked(b"one", b"0\r\n\r\n"), chunked(b"one", trailers=b"A: 1\r\n")):
        head, _, body = answer.partition(b"\r\n\r\n")
        assert [end for end in range(len(body) + 1) if users._complete(head, body[:end])] == [len(body)]


@pytest.mark.parametrize("length", [b"nonsense", b"-5", b""])
def test_a_length_that_is_none_is_an_error(listener: socket.socket, length: bytes) -> None:
    thread = serve(listener, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + length + b"\r\n")
    outcome = users.run(listener.getsockname(), [REQUEST], 2, 0.05)
    thread.join()
    assert outcome.answered == []
    assert set(outcome.errors) == {"answer that is no http"}


@contextlib.contextmanager
def a_server(*statuses: int, certificate: Path | None = None, authorization: str | None = None) -> Iterator[str]:
    """Says that it is Kiln, and answers posts with `statuses` in turns; its URL. certificate: of https. authorization:
    the header that it wants."""
    turns = itertools.cycle(statuses)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece, or the client's system waits with its acknowledgement

        def do_GET(self) -> None:
            self.answer(200, b'{"models": [{"name": "m", "version": "1", "engine": "litert"}]}')

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(next(turns), b"{}")

        def answer(self, status: int, body: bytes) -> None:
            if self.headers["Authorization"] != authorization:
                status = 401
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_limit_of_the_server_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with a_server(200, 429) as url:
        assert main(["--url", url, "--users", "1", "--duration", "0.05", "--output", str(tmp_path)]) == 1
    assert "limits what one address or key may ask" in capsys.readouterr().out
    assert any("(429)" in warning for warning in json.loads((tmp_path / "report.json").read_text())["warnings"])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, and its key, in one file."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl is not installed")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=kiln.test"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(file), "-keyout", str(file.with_suffix(".key"))]
    subprocess.run(made, capture_output=True, check=True)
    file.write_text(file.read_text() + file.with_suffix(".key").read_text())
    return file


@pytest.mark.slow
@pytest.mark.parametrize("trust", ["--ca", "--insecure"])
def test_https_is_measured(tmp_path: Path, certificate: Path, trust: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(bytes(3_000_000))  # more than is sent at once
    options = ["--users", "3", "--duration", "0.3", "--photos", str(tmp_path), "--output", str(tmp_path / "report")]
    trusted = [trust, str(certificate)] if trust == "--ca" else [trust]
    with a_server(200, certificate=certificate) as url:
        assert main(["--url", url, *options, *trusted]) == 0
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert found["facts"]["Server"].startswith("https://")
    assert sum(found["points"][0]["histogram"]["counts"]) > 3


def test_a_certificate_that_is_not_trusted_is_named(
    tmp_path: Path, certificate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with a_server(200, certificate=certificate) as url:
        short = ["--users", "1", "--duration", "0.05", "--output", str(tmp_path)]
        assert main(["--url", url, *short]) == 1
        assert "its certificate is not trusted: self-signed certificate" in capsys.readouterr().err
        # The generator checks it as well, not only what asks beforehand.
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        outcome = users.run(address, [REQUEST], 1, 0.05, tls.client("127.0.0.1", None, insecure=False))
        assert outcome.answered == []
        assert main(["--url", url.replace("127.0.0.1", "localhost"), "--ca", str(certificate), *short]) == 1
        assert "its certificate is not trusted: Hostname mismatch" in capsys.readouterr().err


def test_https_where_there_is_none(certificate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with a_server(200) as url:
        assert main(["--url", url.replace("http", "https")]) == 1
        assert "does not speak TLS" in capsys.readouterr().err
        assert main(["--url", url, "--insecure"]) == 1
        assert "is not https" in capsys.readouterr().err
    assert main(["--insecure"]) == 1
    assert "without --url" in capsys.readouterr().err
    assert main(["--url", "https://127.0.0.1:1", "--ca", __file__]) == 1
    assert f"--ca {__file__} cannot be read as certificates" in capsys.readouterr().err


def test_a_server_that_ends_meanwhile_is_a_fault_and_no_end_of_the_report(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        root = psutil.Process(process.pid)
        during = Watch([root])
        process.communicate(b"\n")
        point = Point(1)
        point.add(users.Outcome(1.0), during)
        point.add(users.Outcome(1.0), Watch([root]))
    assert f"the server's process {process.pid} ended" in point.faults()
    assert len(point.cores[GENERATOR]) == 2
    found = report(point)
    assert page.render(found, tmp_path, plots.draw(found, tmp_path))


@pytest.mark.slow
def test_a_process_that_is_not_the_server_is_left_out(tmp_path: Path) -> None:
    with a_server(200) as url, subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        options = ["--url", url, "--pid", str(other.pid), "--users", "1", "--duration", "0.5"]
        assert main([*options, "--output", str(tmp_path)]) == 0
        other.communicate(b"\n")
    found = json.loads((tmp_path / "report.json").read_text())
    assert any("are not what answered" in warning for warning in found["warnings"])
    assert found["points"][0]["cpu"] is None


def test_a_connection_that_is_closed_is_an_error_and_made_anew(listener: socket.socket) -> None:
    thread = serve(listener, b"")
    outcome = users.run(listener.getsockname(), [REQUEST], 2, 0.05)  # too short for a second try
    thread.join()
    assert (outcome.answered, dict(outcome.errors)) == ([], {"connection closed": 2})


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        outcome = users.run(taken.getsockname(), [REQUEST], 2, 0.05)
    assert outcome.answered == []
    assert set(outcome.errors) == {"connection refused"}


def test_photos_by_every_way(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.JPG").write_bytes(b"picture")
    (tmp_path / "notes.txt").write_text("no photo")
    [photo] = read_photos(tmp_path)
    assert photo.body("raw") == (b"picture", "image/jpeg")
    assert json.loads(photo.body("json")[0]) == {"instances": [{"b64": "cGljdHVyZQ=="}]}
    body, kind = photo.body("form")
    assert kind.startswith("multipart/form-data; boundary=")
    assert b'name="image"' in body
    assert len({photo.body(way) for way in WAYS}) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_photos_that_cannot_be_read_are_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for number in range(3):
            (folder / f"{number}.jpg").write_bytes(b"picture")
        (folder / "closed").mkdir()
        for closed in ("0.jpg", "2.jpg", "closed"):
            (folder / closed).chmod(0)
        os.seteuid(65534)
        try:
            with pytest.raises(Failed) as failed:
                read_photos(folder)
        finally:
            os.seteuid(0)
    assert all(str(folder / closed) in str(failed.value) for closed in ("0.jpg", "2.jpg", "closed"))
    assert "1.jpg" not in str(failed.value)


def test_bodies_are_made_when_posted_and_kept_while_they_fit(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(b"as big")
    bodies = Bodies(tmp_path, ("raw", "json"), most_kept=20)
    assert len(bodies) == 6
    (tmp_path / "a.jpg").write_bytes(b"changed")
    assert bodies.get(0) == ("raw", b"changed", "image/jpeg")
    assert json.loads(bodies.get(3)[1]) == {"instances": [{"b64": "YXMgYmln"}]}  # more than 20 bytes
    for name in "ab":
        (tmp_path / f"{name}.jpg").write_bytes(b"again")
    assert bodies.get(0)[1] == b"changed"
    assert json.loads(bodies.get(3)[1]) == {"instances": [{"b64": "YWdhaW4="}]}
    (tmp_path / "c.jpg").unlink()
    with pytest.raises(Failed, match=r"c\.jpg cannot be read"):
        bodies.get(5)


def test_a_folder_without_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failed, match="has no photos"):
        read_photos(tmp_path / "none")
    assert main(["--photos", str(tmp_path), "--output", str(tmp_path / "report")]) == 1
    assert f"{tmp_path} has no photos" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--users", "0"],
        ["--users", "1,x"],
        ["--duration", "0"],
        ["--duration", "inf"],
        ["--rounds", "2"],
        ["--way", "fax"],
        ["--max-error-rate", "nan"],
        ["--max-error-rate", "5"],
    ],
)
def test_options_that_make_no_sense(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    "url",
    ["https://", "ftp://127.0.0.1:1", "127.0.0.1:8000", "http://127.0.0.1:99999", "http://[::1", "unix:/run/kiln.sock"],
)
def test_addresses_that_cannot_be_measured(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", url]) == 1
    assert url in capsys.readouterr().err


@pytest.mark.parametrize("password", ["pa/ss", "pa#ss", "pa?ss"])
def test_a_password_that_breaks_the_address_is_not_told(password: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", f"http://user:{password}@127.0.0.1:8000"]) == 1
    said = capsys.readouterr().err
    assert "ss" not in said.replace("password", "").replace("address", "")
    assert "%2F" in said


def test_a_report_that_cannot_be_written_is_told_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.json").mkdir()
    assert main(["--url", "http://127.0.0.1:9", "--output", str(tmp_path)]) == 1
    assert f"{tmp_path / 'report.json'} cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("below", ["", "deep/er"])
def test_a_folder_that_cannot_be_made_is_told_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], below: str
) -> None:
    (tmp_path / "file").touch()
    assert main(["--url", "http://127.0.0.1:9", "--output", str(tmp_path / "file" / below)]) == 1
    assert f"{tmp_path / 'file'} is a file; name a folder" in capsys.readouterr().err


def test_credentials_of_an_address_are_sent_and_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ["--users", "1", "--duration", "0.05", "--output", str(tmp_path)]
    with a_server(200, authorization="Basic dXNlcjpwQHc=") as url:  # user:p@w
        address = url.replace("//", "//user:p%40w@")
        assert main(["--url", address, *output]) == 0
        assert main(["--url", address.replace("user", "other"), *output]) == 1
    printed = capsys.readouterr()
    assert "does not take the user and password" in printed.err
    assert main(["--url", address, *output]) == 1  # nobody listens there any more
    assert main(["--url", "http://user:p%40w@", *output]) == 1
    told = [printed.out, printed.err, *capsys.readouterr(), (tmp_path / "report.html").read_text()]
    found = (tmp_path / "report.json").read_text()
    assert json.loads(found)["facts"]["Server"].startswith(f"{url}, ")
    assert json.loads(found)["facts"]["Memory"].endswith(" GiB")
    for text in (*told, found):
        assert "p%40w" not in text
        assert "p@w" not in text
        assert "user:" not in text


def test_more_users_than_open_files(capsys: pytest.CaptureFixture[str]) -> None:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert main(["--url", "http://127.0.0.1:9", "--users", str(most)]) == 1
    assert f"ulimit -n {most + 64}" in capsys.readouterr().err


def test_the_ladder_measures_every_step_in_every_round() -> None:
    told: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        points = ladder.climb(taken.getsockname(), [REQUEST], [1, 2], 0.01, 3, [], told.append)
    assert [len(point.per_second) for point in points] == [3, 3]
    assert told[1:3] == ["round 1 of 3: 1 users", "round 1 of 3: 2 users"]


def test_the_plan_for_jmeter_and_its_version_agree() -> None:
    text = (ROOT / "loadtest" / "jmeter" / "pom.xml").read_text()
    version = text.partition("<jmeter.version>")[2].partition("<")[0]
    assert f'jmeter="{version}"' in (ROOT / "loadtest" / "predict.jmx").read_text()
    assert "http" not in text.replace('xmlns="http://maven.apache.org/POM/4.0.0"', "").replace("_http", "")
