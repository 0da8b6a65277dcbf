"""Everything that a client can do wrong, over real sockets, without and with nginx.

Every answer is an error of the one form with its request id, never a 500, and no worker dies of it.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import itertools
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from deploy import answers
from tests import pictures
from tests.servers import Answer, Server, assert_error, connect, exchange, post_head, read_answer

pytestmark = pytest.mark.server

LIMIT = 10 * 1024 * 1024  # KILN_MAX_BODY_BYTES
TOO_LARGE = b"\x00" * (LIMIT + 1)


@pytest.fixture(autouse=True)
def no_worker_dies(request: pytest.FixtureRequest) -> Iterator[None]:
    """The same workers, alive and ready, before and after every test."""
    if "base" not in request.fixturenames:
        yield
        return
    base = request.getfixturevalue("base")
    before = base.workers()
    yield
    assert base.workers() == before
    assert requests.get(f"{base.url}/ready", timeout=10).status_code == 200


def post(base: Server, data: Any = None, kind: str | None = None, **options: Any) -> requests.Response:
    headers = {"Content-Type": kind} if kind else {}
    return requests.post(f"{base.url}/predict", data=data, headers=headers, timeout=30, **options)


def refused(base: Server, data: Any = None, kind: str | None = None, **options: Any) -> tuple[int, str]:
    """Status and code of a POST that must be refused."""
    answer = post(base, data, kind, **options)
    assert 400 <= answer.status_code < 500, answer.text
    return answer.status_code, assert_error(answer, answer.status_code)["code"]


# --- What is not HTTP -----------------------------------------------------------------------------------------------

FORMS = {
    "tf_serving": ("/v1/models/catdog:predict", ["error"]),
    "open_inference": ("/v2/models/catdog/infer", ["error"]),
    "sagemaker": ("/invocations", ["error"]),
    "azure_ml": ("/score", ["error", "request_id"]),
    "kiln": ("/predict", ["error", "request_id"]),
}
BROKEN = {
    "a negative length": b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n",
    "two lengths": b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "no version": b"POST %b HTTP/x\r\nHost: x\r\n\r\n",
    "bytes that no path has": b"POST %b\xff HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    "a method in small letters": b"post %b HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("dialect", FORMS)
@pytest.mark.parametrize("broken", BROKEN)
def test_what_cannot_be_read_has_the_form_of_its_path(service: Server, dialect: str, broken: str) -> None:
    path, form = FORMS[dialect]
    counted = f'kiln_requests_total{{dialect="{dialect}",method="other",route="unread",status="400"}}'
    before = service.metrics().get(counted, 0)
    request = BROKEN[broken] % path.encode()
    pieces = (request,), (request[:10], request[10:40], request[40:])
    for sent in pieces:
        answer = exchange(service.url, *sent)
        assert answer is not None
        assert (answer.status_code, list(answer.json())) == (400, form)
    assert service.metrics()[counted] == before + len(pieces)


# --- What is not a picture ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [None, "image/jpeg", "application/octet-stream", "multipart/form-data; boundary=x"])
def test_nothing_sent(base: Server, kind: str | None) -> None:
    status, code = refused(base, b"", kind)
    assert status == 400
    assert code in ("no_image", "broken_form")


def test_no_body_at_all(base: Server) -> None:
    assert_error(exchange(base.url, post_head("/predict")), 400, "no_image")


def test_empty_file(base: Server) -> None:
    assert refused(base, files={"image": ("cat.jpg", b"")}) == (400, "empty_image")
    assert refused(base, files={"file": ("cat.jpg", b"")}) == (400, "empty_image")
    assert refused(base, json={"instances": [{"b64": ""}]}) == (400, "empty_image")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"hello", 400, "not_an_image"),
        (b"\x00" * 1000, 400, "not_an_image"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", 400, "not_an_image"),
        (b"<html><img src=cat.jpg></html>", 400, "not_an_image"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "unsupported_image_format"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", 415, "unsupported_image_format"),
        (b"\xff\xd8\xff", 400, "broken_image"),
        (b"GIF89a", 400, "broken_image"),
        (b"II*\x00\x08\x00\x00\x00\xff\xff", 400, "broken_image"),
    ],
)
def test_not_an_image(base: Server, data: bytes, status: int, code: str) -> None:
    assert refused(base, data) == (status, code)
    assert refused(base, files={"image": ("cat.jpg", data, "image/jpeg")}) == (status, code)


@pytest.mark.parametrize("form", ["jpeg", "jpeg-progressive", "png", "png-interlaced", "webp", "gif", "bmp", "tiff"])
def test_truncated_picture(base: Server, photo_path: Path, form: str) -> None:
    with Image.open(photo_path) as photo:
        data = pictures.FORMS[form](photo.resize((200, 150)))
    with requests.Session() as session:
        for length in pictures.cuts(data):
            answer = session.post(f"{base.url}/predict", data=data[:length], timeout=30)
            code = assert_error(answer, 400)["code"]
            assert code in ("broken_image", "not_an_image"), f"{length} bytes: {code}"


def test_damaged_picture_is_never_our_fault(base: Server, photo: bytes) -> None:
    with requests.Session() as session:
        for place in range(0, len(photo), len(photo) // 60):
            data = photo[:place] + bytes([photo[place] ^ 0xFF]) + photo[place + 1 :]
            answer = session.post(f"{base.url}/predict", data=data, timeout=30)
            assert answer.status_code in (200, 400, 413, 415), answer.text  # much damage cannot be told from a picture


def test_one_pixel(base: Server) -> None:
    for mode in ("RGB", "L", "RGBA"):
        assert refused(base, pictures.encoded(Image.new(mode, (1, 1)), "PNG")) == (400, "image_too_small")
    assert refused(base, pictures.encoded(Image.new("RGB", (1000, 1)), "PNG")) == (400, "image_too_small")


# --- What is too large ----------------------------------------------------------------------------------------------


@functools.cache
def bomb(side: int) -> bytes:
    return pictures.png_bomb(side)


def peak_memory(process: int) -> int:
    """The most memory that a process ever held, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("side", [8_000, 30_000])  # just over the limit of pixels, and far over it
def test_decompression_bomb_is_refused_before_it_opens(base: Server, side: int) -> None:
    data = bomb(side)
    assert len(data) < 120_000 < side * side * 3
    post(base, pictures.encoded(Image.new("RGB", (640, 480)), "PNG"))  # what any picture takes
    before = {process: peak_memory(process) for process in base.workers()}
    for _ in range(4):
        assert refused(base, data) == (413, "image_too_large")
        assert refused(base, files={"image": data}) == (413, "image_too_large")
    for process, peak in before.items():
        assert peak_memory(process) - peak < 32, "MiB; the picture has hundreds"


def test_body_over_the_limit(base: Server) -> None:
    assert refused(base, TOO_LARGE) == (413, "body_too_large")
    assert refused(base, files={"image": TOO_LARGE}) == (413, "body_too_large")


def test_body_at_the_limit_is_read(base: Server, photo: bytes) -> None:
    assert post(base, photo + bytes(LIMIT - len(photo))).status_code == 200  # what follows a JPEG is ignored


def test_chunked_body_over_the_limit(base: Server) -> None:
    assert refused(base, itertools.repeat(b"\x00" * 65536, 165)) == (413, "body_too_large")


def test_announced_length_over_the_limit(base: Server) -> None:
    """Refused by its head: nothing of the body is sent."""
    for length in (LIMIT + 1, 10**18):
        answer = exchange(base.url, post_head("/predict", f"Content-Length: {length}"))
        assert_error(answer, 413, "body_too_large")


def test_expect_continue(base: Server, photo: bytes) -> None:
    head = post_head("/predict", f"Content-Length: {len(photo)}", "Expect: 100-continue", "Connection: close")
    with connect(base.url) as connection:
        connection.sendall(head)
        assert connection.recv(12) == b"HTTP/1.1 100"
        while b"\r\n\r\n" not in connection.recv(4096):
            pass
        connection.sendall(photo)
        answer = read_answer(connection)
    assert answer is not None
    assert answer.status_code == 200


# --- Bodies that are not as announced -------------------------------------------------------------------------------


def test_more_is_sent_than_announced(base: Server, photo: bytes) -> None:
    """The announced part is the body; the rest is a broken second request on the same connection."""
    head = post_head("/predict", f"Content-Length: {len(photo)}")
    with connect(base.url) as connection:
        connection.sendall(head + photo + b"\x00garbage\r\n\r\n")
        first, second = read_answer(connection), read_answer(connection)
    assert first is not None
    assert first.status_code == 200
    assert_error(second, 400, "bad_request")


def test_less_is_announced_than_a_picture_has(base: Server, photo: bytes) -> None:
    head = post_head("/predict", f"Content-Length: {len(photo) // 2}")
    assert_error(exchange(base.url, head, photo[: len(photo) // 2]), 400, "broken_image")


def test_less_is_sent_than_announced(base: Server, photo: bytes) -> None:
    head = post_head("/predict", f"Content-Length: {len(photo) + 1000}")
    answer = exchange(base.url, head, photo, half_close=True)
    if answer is not None:  # nginx does not answer a client that has hung up
        assert_error(answer, 400, "incomplete_body")


def test_chunked_body_that_ends_early(base: Server, photo: bytes) -> None:
    piece = b"%x\r\n%s\r\n" % (len(photo), photo)
    answer = exchange(base.url, post_head("/predict", "Transfer-Encoding: chunked"), piece, half_close=True)
    if answer is not None:
        assert_error(answer, 400, "broken_body")


@pytest.mark.parametrize("piece", [b"zz\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b"3\r\nabcdef\r\n0\r\n\r\n"])
def test_broken_chunks(base: Server, piece: bytes) -> None:
    answer = exchange(base.url, post_head("/predict", "Transfer-Encoding: chunked"), piece, half_close=True)
    assert_error(answer, 400)


def trickle(connection: socket.socket, byte: bytes, seconds: float = 9.0) -> Answer | None:
    """Send a byte with each timeout of the connection until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError):
            connection.sendall(byte)
        with contextlib.suppress(TimeoutError):
            connection.recv(1, socket.MSG_PEEK)
            connection.settimeout(10)
            return read_answer(connection)
    pytest.fail(f"no answer after {seconds:g} s of one byte at a time")


def test_stalled_body_is_answered_and_frees_the_worker(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service(workers=1, threads=2, body_timeout=1)
    before = base.workers()
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(connect(base.url)) for _ in range(2)]  # as many as there are threads
        for connection in stalled:
            connection.sendall(post_head("/predict", f"Content-Length: {len(photo)}") + photo[:1000])
        # Waits for one of them to give up, and no longer.
        assert post(base, photo).status_code == 200
        for connection in stalled:
            answer = read_answer(connection)
            assert_error(answer, 408, "body_timeout")
            assert answer is not None
            assert answer.headers["Connection"] == "close"
    assert base.workers() == before


def test_trickling_body_has_the_same_deadline(start_service: Callable[..., Server]) -> None:
    """A byte now and then does not buy more time."""
    base = start_service(workers=1, body_timeout=1)
    with connect(base.url, timeout=0.05) as connection:
        connection.sendall(post_head("/predict", "Content-Length: 100000"))
        answer = trickle(connection, b"\xff")
    assert_error(answer, 408, "body_timeout")


# --- Bodies of the wrong kind ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "video/mp4", "application/xml", "nonsense", "multipart/mixed"],
)
def test_unknown_media_type(base: Server, photo: bytes, kind: str) -> None:
    assert refused(base, photo, kind) == (415, "unsupported_media_type")


def test_unknown_media_type_with_a_large_body(base: Server) -> None:
    assert refused(base, bytes(1_000_000), "text/plain") == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "broken_json"),
        (b"{", "broken_json"),
        (b'{"instances": [', "broken_json"),
        (b"\xff\xfe{}", "broken_json"),
        (b'{"instances": [{"b64": "\xff"}]}', "broken_json"),
        (b'{"instances": [NaN]}', "broken_json"),
        (b"[" * 100_000 + b"]" * 100_000, "broken_json"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "broken_json"),
        (b"null", "bad_instances"),
        (b"[]", "bad_instances"),
        (b'"instances"', "bad_instances"),
        (b"{}", "bad_instances"),
        (b'{"instances": null}', "bad_instances"),
        (b'{"instances": {"b64": ""}}', "bad_instances"),
        (b'{"instances": []}', "no_image"),
        (b'{"instances": ["abc"]}', "bad_instances"),
        (b'{"instances": [{}]}', "bad_instances"),
        (b'{"instances": [{"b64": 1}]}', "bad_instances"),
        (b'{"instances": [{"b64": null}]}', "bad_instances"),
        (b'{"instances": [{"b64": "data:image/png,abc"}]}', "bad_instances"),
        (b'{"instances": [{"b64": "not base64!"}]}', "bad_base64"),
        (b'{"instances": [{"b64": "aaaaa"}]}', "bad_base64"),
        ('{"instances": [{"b64": "päng"}]}'.encode(), "bad_base64"),
        (b'{"instances": [{"b64": "aGVsbG8="}]}', "not_an_image"),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_broken_json(base: Server, body: bytes, code: str) -> None:
    assert refused(base, body, "application/json") == (400, code)


def test_every_broken_instance_is_named(base: Server, photo: bytes) -> None:
    good = base64.b64encode(photo).decode()
    answer = post(base, json.dumps({"instances": [{"b64": good}, {}, {"b64": "!"}]}), "application/json")
    message = assert_error(answer, 400)["message"]
    assert "instances[1]" in message
    assert "instances[2]" in message
    assert "instances[0]" not in message


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary="']
)
def test_form_without_a_boundary(base: Server, kind: str) -> None:
    assert refused(base, b"--x\r\n\r\nabc\r\n--x--\r\n", kind) == (400, "broken_form")


@pytest.mark.parametrize(
    "body",
    [
        b"abc",
        b"--x",
        b"--x\r\n\r\nabc\r\n--x--\r\n",
        b"--y\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\nabc\r\n--y--\r\n",
        b"--x\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\nabc",
        b"--x\r\nContent-Disposition: form-data; name=image; filename=a",
        b"--x\r\n" * 10_000,
        b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" * 5_000 + b"--x--\r\n",
    ],
    ids=range(8),
)
def test_broken_form(base: Server, body: bytes) -> None:
    status, code = refused(base, body, "multipart/form-data; boundary=x")
    assert status == 400
    assert code in ("broken_form", "no_image")


def test_form_with_other_fields(base: Server, photo: bytes) -> None:
    assert refused(base, files={"photo": photo}) == (400, "no_image")
    assert refused(base, data={"image": "cat.jpg"}, files={"other": b""}) == (400, "no_image")


def test_too_many_images(base: Server, photo: bytes) -> None:
    assert refused(base, files=[("image", photo)] * 17) == (400, "too_many_images")
    b64 = base64.b64encode(photo).decode()
    assert refused(base, json={"instances": [{"b64": b64}] * 17}) == (400, "too_many_images")


def test_the_broken_one_of_several_is_named(base: Server, photo: bytes) -> None:
    answer = post(base, files=[("image", photo), ("image", b"no"), ("image", photo)])
    assert "Image 2 of 3" in assert_error(answer, 400, "not_an_image")["message"]


# --- Wrong addresses, methods and parameters ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "top", ["0", "-1", "x", "1.5", "1" * 400, "3", "٣", "", " 1", "1 ", "+1", "1e0", "0x1", "1\x00"]
)
def test_bad_top(base: Server, photo: bytes, top: str) -> None:
    assert refused(base, photo, params={"top": top}) == (400, "bad_top")


@pytest.mark.parametrize(
    "path", ["/nowhere", "/predict/", "/predict/1", "/static/", "/static/../api.py", "/%2e%2e/api.py"]
)
def test_not_found(base: Server, path: str) -> None:
    answer = exchange(base.url, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert_error(answer, 400 if base.backend and "api.py" in path and "static" not in path else 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/predict", "POST"),
        ("PUT", "/predict", "POST"),
        ("DELETE", "/predict", "POST"),
        ("PATCH", "/predict", "POST"),
        ("BREW", "/predict", "POST"),
        ("POST", "/live", "GET"),
        ("POST", "/", "GET"),
        ("DELETE", "/openapi.json", "GET"),
    ],
)
def test_method_not_allowed(base: Server, method: str, path: str, allowed: str) -> None:
    answer = requests.request(method, base.url + path, timeout=10)
    assert_error(answer, 405, "method_not_allowed")
    assert allowed in answer.headers["Allow"].replace(" ", "").split(",")


def test_unread_body_does_not_spoil_the_connection(base: Server) -> None:
    with requests.Session() as session:
        for size in (10, 50_000, 1_000_000):
            assert_error(session.post(f"{base.url}/live", data=bytes(size), timeout=10), 405)
            assert session.get(f"{base.url}/live", timeout=10).status_code == 200


@pytest.mark.parametrize("offered", ["", "a b", "-a", "a" * 129, "a;b", "<script>", "ünïcode", '"'])
def test_insane_request_id_is_replaced(base: Server, offered: str) -> None:
    answer = requests.get(f"{base.url}/nowhere", headers={"X-Request-ID": offered.encode()}, timeout=10)
    assert_error(answer, 404)
    assert answer.headers["X-Request-ID"] != offered


# --- What is not HTTP -----------------------------------------------------------------------------------------------

LONG = b"a" * 20_000


@pytest.mark.parametrize(
    ("raw", "statuses"),
    [
        (b"hello\r\n\r\n", (400,)),
        (b"GET\r\n\r\n", (400,)),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", (400,)),  # TLS to a plain port
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", (400, 505)),
        (b"GET /" + LONG + b" HTTP/1.1\r\nHost: x\r\n\r\n", (414,)),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + LONG + b"\r\n\r\n", (431,)),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: 1\r\n" * 5_000 + b"\r\n", (400, 431)),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: 1\r\n" * 150 + b"\r\n", (400, 431)),  # not too many for nginx
        (b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", (200, 400)),  # nginx leaves such a line out
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n", (200, 400)),
        (b"GET / HTTP/1.1\r\nHost: x\r\nNull: \x00\r\n\r\n", (400,)),
        (post_head("/predict", "Content-Length: abc"), (400,)),
        (post_head("/predict", "Content-Length: -1"), (400,)),
        (post_head("/predict", "Content-Length: 1", "Content-Length: 2"), (400,)),
        (post_head("/predict", "Content-Length: 3", "Transfer-Encoding: chunked"), (400,)),
        (post_head("/predict", "Transfer-Encoding: nonsense"), (400, 501)),
        (post_head("/predict", "Expect: a miracle", "Content-Length: 0"), (400, 417)),
    ],
    ids=lambda value: value[:60].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_not_http(base: Server, raw: bytes, statuses: tuple[int, ...]) -> None:
    answer = exchange(base.url, raw)
    assert answer is not None
    if answer.status_code != 200:
        assert_error(answer, statuses)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],  # TLS to a plain port
        [b"HELO x\r\n"],
        [b"GET / HTTP/1.1\nHost: x\n\n"],
        [b"GET / HTT", b"P/3.0\r\n"],
    ],
)
def test_what_can_be_no_http_is_refused_without_waiting_for_more(service: Server, pieces: list[bytes]) -> None:
    with connect(service.url) as slow, connect(service.url) as wrong:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        for piece in pieces:
            wrong.sendall(piece)
        assert_error(read_answer(wrong), 400, "bad_request")
        slow.setblocking(False)
        with pytest.raises(BlockingIOError):  # what may become a request is still waited for
            slow.recv(1)


def test_header_flood_over_many_connections(base: Server) -> None:
    flood = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 4_000) for n in range(200))
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(base.url)) for _ in range(10)]
        for connection in connections:
            with contextlib.suppress(ConnectionError):
                connection.sendall(flood + b"\r\n")
        answers: list[Answer | None] = [read_answer(connection) for connection in connections]
    for answer in answers:
        if answer is not None:  # where the flood outlasts what is still read, the connection is cut
            assert_error(answer, 431, "headers_too_large")


def test_slow_heads_are_answered_and_free_the_worker(start_service: Callable[..., Server], photo: bytes) -> None:
    """As many slow heads as there are threads, directly on gunicorn: one silent, one with a byte now and then."""
    base = start_service(workers=1, threads=2)
    before = base.workers()
    head = b"GET /live HTTP/1.1\r\nX: "
    with connect(base.url, timeout=answers.HEAD_SECONDS + 5) as silent, connect(base.url, timeout=0.05) as trickling:
        silent.sendall(head)
        trickling.sendall(head)
        assert_error(trickle(trickling, b"x"), 408, "head_timeout")
        assert_error(read_answer(silent), 408, "head_timeout")
    assert post(base, photo).status_code == 200
    assert base.workers() == before


def test_silent_connections_hold_no_thread(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service(workers=1, threads=2)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(base.url)) for _ in range(50)]
        for _ in range(3):
            assert requests.post(f"{base.url}/predict", data=photo, timeout=10).status_code == 200
        # One that was silent until now is served like any other.
        connections[7].sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = read_answer(connections[7])
    assert answer is not None
    assert answer.status_code == 200


def test_connections_left_open_do_not_stop_the_main_loop(start_service: Callable[..., Server]) -> None:
    """A refused client that keeps its side open is waited for by a thread, not by the loop that accepts others."""
    base = start_service(workers=1, threads=4)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(base.url)) for _ in range(3)]
        for connection in connections:
            connection.sendall(b"hello\r\n\r\n")
            assert_error(read_answer(connection), 400)
        # All three are still open. In the main loop they would take 2 s each, one after the other.
        assert requests.get(f"{base.url}/live", timeout=1.5).status_code == 200


@pytest.mark.parametrize("pause", [0.0, 0.002])  # in a row, and each as the only one that has arrived
def test_answers_that_nobody_takes_do_not_stop_the_main_loop(
    start_service: Callable[..., Server], pause: float
) -> None:
    base = start_service(workers=1, threads=2)
    with connect(base.url) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(1_000):
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
                time.sleep(pause)
        for _ in range(5):
            assert requests.get(f"{base.url}/live", timeout=3).status_code == 200


@pytest.mark.parametrize("size", [100, 200_000])  # read along with the first request, and left in the socket
def test_half_a_request_behind_a_whole_one_does_not_stop_the_main_loop(
    start_service: Callable[..., Server], size: int
) -> None:
    base = start_service(workers=1, threads=2)
    whole = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
    filler = b"0123456789\r\n\r\n" * (size // 14)
    with connect(base.url) as connection:
        connection.sendall(whole + post_head("/predict", f"Content-Length: {2 * size}") + filler)
        answer = read_answer(connection)
        assert answer is not None
        assert answer.status_code == 200
        for _ in range(5):
            assert requests.get(f"{base.url}/live", timeout=3).status_code == 200


def test_many_requests_in_a_row_on_one_connection(base: Server) -> None:
    """Sent before the first is answered."""
    count = 500
    with connect(base.url) as connection:
        connection.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n" * count)
        answers = [read_answer(connection) for _ in range(count)]
    assert {answer and answer.content for answer in answers} == {b'{"status":"live"}\n'}
