"""Uploads that take their time, directly on gunicorn: they are answered, and keep nobody else from an answer."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import requests

from app.keys import file
from tests.servers import Server, assert_error, connect, post_head, read_answer

pytestmark = pytest.mark.server

THREADS = 2
CHUNK = b"%x\r\n%s\r\n"
LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@contextlib.contextmanager
def begun(base: Server, *sent: bytes) -> Iterator[list[socket.socket]]:
    """Clients that have sent so much each, and that a worker has met."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(base.url)) for _ in sent]
        for client, data in zip(clients, sent, strict=True):
            client.sendall(data)
        yield clients


def live(base: Server) -> int:
    return requests.get(f"{base.url}/live", timeout=10).status_code


def assert_answered(clients: Sequence[socket.socket], rest: bytes) -> None:
    """Each sends the rest of a photo, and gets an answer to it."""
    for client in clients:
        client.sendall(rest)
    for client in clients:
        answer = read_answer(client)
        assert answer is not None
        assert answer.status_code == 200, answer.content


def asking(length: int, *more: str) -> bytes:
    return post_head("/predict", f"Content-Length: {length}", "expect: 100-Continue", *more)


def test_clients_that_ask_before_they_send_hold_nobody_up(start_service: Callable[..., Server], photo: bytes) -> None:
    """As curl does with every body over 1 MiB."""
    base = start_service(workers=1, threads=THREADS)
    with begun(base, *[asking(len(photo))] * (THREADS + 2)) as clients:
        for client in clients:
            assert client.recv(len(CONTINUE), socket.MSG_WAITALL) == CONTINUE
        assert live(base) == 200
        assert_answered(clients, photo)
        for client in clients:  # the connections were kept
            client.sendall(asking(len(photo)))
            assert client.recv(len(CONTINUE), socket.MSG_WAITALL) == CONTINUE
        assert_answered(clients, photo)


def test_those_that_hold_every_thread_hold_nobody_up(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service(workers=1, threads=THREADS)
    chunked = post_head("/predict", "Transfer-Encoding: chunked")
    plain = post_head("/predict", f"Content-Length: {len(photo)}")
    with begun(base, *[chunked + CHUNK % (len(photo), photo)] * (THREADS + 2)) as holding:
        assert live(base) == 200
        with begun(base, plain + photo[:100], b"GET /live HTTP/1.0\r\n\r\n") as (uploading, closing):
            assert_answered([uploading], photo[100:])
            assert read_answer(closing) is not None
            assert closing.recv(1) == b""
        assert_answered(holding, LAST_CHUNK)


def test_uploads_with_a_key_are_gathered_too(
    start_service: Callable[..., Server], photo: bytes, tmp_path: Path
) -> None:
    """Flask answers these, which looks at the key."""
    key = file.add(tmp_path / "keys", "phone")
    base = start_service(workers=1, threads=THREADS, api_keys=tmp_path / "keys")
    head = post_head("/predict", f"Content-Length: {len(photo)}", f"X-API-Key: {key}")
    with begun(base, *[head + photo[:100]] * (THREADS + 2)) as clients:
        for client in reversed(clients):
            assert_answered([client], photo[100:])


@pytest.mark.parametrize("path", ["/predict", "/predict?top=2"])
def test_a_client_that_sends_without_waiting_is_told_nothing(service: Server, photo: bytes, path: str) -> None:
    head = post_head(path, f"Content-Length: {len(photo)}", "Expect: 100-continue")
    for cut in (100, len(photo)):
        with begun(service, head + photo[:cut]) as clients:
            assert_answered(clients, photo[cut:])


@pytest.mark.parametrize("path", ["/predict", "/predict?top=2", "/nowhere"])
def test_a_client_that_asks_with_too_large_a_body_is_refused(
    start_service: Callable[..., Server], photo: bytes, path: str
) -> None:
    base = start_service(workers=1, threads=THREADS, max_body_bytes=2000)
    for length in (2001, 10**12):
        head = post_head(path, f"Content-Length: {length}", "Expect: 100-continue", "X-Request-ID: mine")
        with begun(base, head) as [client]:
            answer = read_answer(client)
            assert answer is not None
            expected = (404, "not_found") if path == "/nowhere" else (413, "body_too_large")
            assert_error(answer, *expected)
            assert answer.headers["X-Request-ID"] == "mine"
            assert answer.headers["Connection"] == "close"
            assert client.recv(1) == b""


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGTERM], ids=lambda sent: sent.name)
def test_a_stop_gathers_what_is_on_its_way(
    start_service: Callable[..., Server], photo: bytes, sent: signal.Signals
) -> None:
    """More than there are threads, and the last ones are the first to be here as a whole."""
    base = start_service(workers=1, threads=THREADS, deadline=1)
    head = post_head("/predict", f"Content-Length: {len(photo)}")
    bodies, heads = [head + photo[:100]] * (THREADS + 2), [head[:30]] * (THREADS + 2)
    with begun(base, *bodies) as uploading, begun(base, *heads) as beginning:
        stop(base, sent)
        for client in reversed(uploading):
            assert_answered([client], photo[100:])
        for client in reversed(beginning):
            assert_answered([client], head[30:] + photo)


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGTERM], ids=lambda sent: sent.name)
def test_a_stop_answers_what_waits_for_a_thread(
    start_service: Callable[..., Server], photo: bytes, sent: signal.Signals
) -> None:
    """However long that takes: there is nobody else to do it."""
    base = start_service(workers=1, threads=THREADS, deadline=1)
    head = post_head("/predict", "Transfer-Encoding: chunked", "Connection: close")
    with begun(base, *[head + CHUNK % (len(photo), photo)] * (THREADS + 2)) as clients:
        stop(base, sent)
        assert_answered(clients, LAST_CHUNK)


def stop(base: Server, sent: signal.Signals) -> None:
    """Until the worker has let go of a connection that is kept: that takes longer than the deadline of a request."""
    with connect(base.url) as kept:
        kept.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(kept) is not None
        base.process.send_signal(sent)
        assert kept.recv(1) == b""
