"""Very many connections and very large bodies: what is asked of the service meanwhile is answered."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests import servers
from tests.faults.traffic import traffic
from tests.servers import Server, assert_error, connect, post_head, read_answer, wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

IDLE = 10_000
LARGE = 100 * 1024 * 1024
SENDERS = 8
RESTARTS = 3

Figure = Callable[[str, object], None]
WAYS = {"direct": servers.gunicorn, "nginx": servers.behind_nginx}


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for as many open files as the test needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < IDLE + 2000:
        pytest.skip(f"the hard limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (IDLE + 2000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory(base: Server) -> int:
    """MiB of all workers."""
    return sum(psutil.Process(worker).memory_info().rss for worker in base.workers()) // 2**20


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("way", WAYS)
def test_ten_thousand_idle_connections(tmp_path: Path, photo: bytes, figure: Figure, way: str) -> None:
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(WAYS[way](tmp_path))
        before, held = base.workers(), memory(base)
        opened = 0
        for _ in range(IDLE):
            connection = stack.enter_context(socket.socket())
            connection.settimeout(5)
            try:
                connection.connect(("127.0.0.1", base.port))
            except TimeoutError:  # the backlog is full: the kernel drops what comes
                break
            opened += 1
        with traffic(base.port, photo, keep=False) as load:
            load.more(100)
        assert base.workers() == before
        figure(f"{opened} idle connections, {way}", f"{load}; workers {held} -> {memory(base)} MiB")
    assert set(load.outcomes) == {200}
    assert opened == IDLE


@pytest.mark.parametrize("way", WAYS)
def test_a_flood_of_large_bodies(tmp_path: Path, photo: bytes, figure: Figure, way: str) -> None:
    """Some say how large they are and are refused by that; others say nothing and are cut off at the limit."""
    stop = threading.Event()
    sent, refused = [0], [0]

    def send(port: int, head: bytes, piece: bytes, pieces: int) -> None:
        while not stop.is_set():
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(head)
                    for _ in range(pieces):
                        connection.sendall(piece)
                        sent[0] += len(piece)
                        if stop.is_set():
                            return
                with contextlib.suppress(ConnectionError, AssertionError):
                    if (answer := read_answer(connection)) is not None:
                        assert_error(answer, 413, "body_too_large")
                        refused[0] += 1

    known = post_head("/predict", f"Content-Length: {LARGE}", "Content-Type: image/jpeg")
    unknown = post_head("/predict", "Transfer-Encoding: chunked", "Content-Type: image/jpeg")
    size = 65536
    chunk = b"%x\r\n%s\r\n" % (size, bytes(size))
    kinds = [(known, bytes(size), LARGE // size), (unknown, chunk, LARGE // size)]
    with WAYS[way](tmp_path) as base:
        before, held = base.workers(), memory(base)
        threads = [threading.Thread(target=send, args=(base.port, *kinds[n % 2])) for n in range(SENDERS)]
        for thread in threads:
            thread.start()
        try:
            with traffic(base.port, photo) as load:
                load.more(100)
                wait_for(lambda: refused[0] >= SENDERS or sent[0] > 4 * LARGE, "the flood", 60)
                peak = memory(base)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert base.workers() == before
        figure(
            f"flood of {LARGE // 2**20} MiB bodies from {SENDERS} clients, {way}",
            f"{sent[0] // 2**20} MiB sent, {refused[0]} told 413; {load}; workers {held} -> {peak} MiB",
        )
    assert set(load.outcomes) == {200}
    assert peak < held + 200  # MiB: 16 threads that hold 10 MiB each, and no more


def test_a_full_backlog(tmp_path: Path, photo: bytes, figure: Figure) -> None:
    """Nobody accepts for a while: what fits into the backlog waits and is answered; the rest gets nginx's 502."""
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(servers.behind_nginx(tmp_path))
        workers = [psutil.Process(worker) for worker in base.workers()]
        for worker in workers:
            worker.suspend()
        clients = 1500
        resource_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert resource_limit > clients + 200
        head = post_head("/predict", "Content-Type: image/jpeg", f"Content-Length: {len(photo)}", "Connection: close")
        # From many addresses, since nginx lets one have 128 requests at a time.
        connections = [connect(base.url, 60, f"127.0.0.{2 + number // 100}") for number in range(clients)]
        for connection in connections:
            stack.enter_context(connection)
            connection.sendall(head + photo)
        wait_for(lambda: "502" in (tmp_path / "access.log").read_text() or queued(base) >= clients - 16, "a full queue")
        for worker in workers:
            worker.resume()
        answers = [read_answer(connection) for connection in connections]
        statuses = [answer.status_code if answer else None for answer in answers]
        assert requests.post(f"{base.url}/predict", data=photo, timeout=30).status_code == 200
    counts = {status: statuses.count(status) for status in set(statuses)}
    figure(f"{clients} requests at once while nobody accepts, backlog 2048, nginx", counts)
    assert set(statuses) <= {200, 502, 503}


def queued(base: Server) -> int:
    assert base.backend is not None
    path = base.backend.url.removeprefix("unix:")
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return sum(line[-1] == path and line[5] == "02" for line in lines)


def test_nginx_reloaded_and_its_processes_killed_under_load(tmp_path: Path, photo: bytes, figure: Figure) -> None:
    """A reload loses nothing. A killed nginx process costs what it held; the others go on."""
    with servers.behind_nginx(tmp_path) as base:
        with traffic(base.port, photo, keep=False) as load:
            load.more(50)
            for _ in range(5):
                old = {child.pid for child in psutil.Process(base.process.pid).children()}
                base.process.send_signal(1)
                wait_for(lambda: old.isdisjoint(serving(base)), "new processes of nginx", 30)  # noqa: B023
                load.more(20)
        assert set(load.outcomes) == {200}
        figure("nginx reloaded 5 times", load)

        with traffic(base.port, photo, keep=False) as load:
            load.more(50)
            for _ in range(3):
                victim = serving(base)[0]
                psutil.Process(victim).kill()
                wait_for(lambda: victim not in serving(base), "it to be gone")  # noqa: B023
                load.more(20)
        figure("3 nginx processes killed", load)
        assert load.failed() <= 3 * 4


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "new"])
def test_nginx_restarted_under_load(tmp_path: Path, photo: bytes, figure: Figure, keep: bool) -> None:
    """Stopped as its unit does it (QUIT), and started: what it has is answered, whoever comes in between is refused."""
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(servers.behind_nginx(tmp_path))
        nginx = base.process
        with traffic(base.port, photo, keep=keep) as load:
            for _ in range(RESTARTS):
                load.more(50)
                nginx.send_signal(signal.SIGQUIT)
                assert nginx.wait(30) == 0
                nginx = stack.enter_context(servers.running(base.process.args, base.log))
            load.more(50)
    figure(f"nginx stopped and started {RESTARTS} times, {'kept' if keep else 'new'} connections", load)
    # At most one a client: sent on a connection that nginx was about to close, or had not taken from the kernel yet.
    assert load.failed() <= RESTARTS * 4
    assert set(load.outcomes) <= {200, "refused", "ConnectionResetError", "RemoteDisconnected", "BrokenPipeError"}


def serving(base: Server) -> list[int]:
    """nginx's processes that take connections."""
    found = []
    for child in psutil.Process(base.process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and "shutting down" not in " ".join(child.cmdline()):
                found.append(child.pid)
    return found
