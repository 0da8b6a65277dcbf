"""kill -9 of a worker and of the master under load: what had not reached a worker is answered by another."""

from __future__ import annotations

import contextlib
import http.client
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests import servers
from tests.faults.traffic import post, traffic
from tests.servers import Server, wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

CLIENTS = 8
KILLS = 3

Figure = Callable[[str, object], None]


def kill_one(base: Server) -> None:
    before = set(base.workers())
    victim = min(before)
    psutil.Process(victim).kill()
    wait_for(lambda: len(now := set(base.workers())) == 2 and victim not in now, "a new worker", 60)


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "new"])
@pytest.mark.parametrize("way", ["direct", "nginx"])
def test_a_killed_worker_costs_no_more_than_it_held(
    tmp_path: Path, photo: bytes, figure: Figure, way: str, keep: bool
) -> None:
    start = servers.behind_nginx if way == "nginx" else servers.gunicorn
    with start(tmp_path) as base, traffic(base.port, photo, clients=CLIENTS, keep=keep) as load:
        for _ in range(KILLS):
            load.more(50)
            kill_one(base)
        load.more(50)
    figure(f"{KILLS} workers killed, {way}, {CLIENTS} clients, {'kept' if keep else 'new'} connections", load)
    # One a client at most: the one that the worker held. Behind nginx another one, if it comes before nginx has seen
    # that a connection which it kept is closed: it does not know whether that request has run, and so does not repeat.
    assert load.failed() <= KILLS * CLIENTS * (2 if way == "nginx" else 1)
    assert set(load.outcomes) <= {200, 502, "ConnectionResetError", "RemoteDisconnected", "BrokenPipeError"}


@pytest.mark.parametrize("way", ["direct", "nginx"])
def test_what_has_not_reached_a_worker_outlives_all_of_them(
    tmp_path: Path, photo: bytes, figure: Figure, way: str
) -> None:
    """The workers stand still while requests come, so that none has taken one, and are then killed."""
    with contextlib.ExitStack() as stack:
        if way == "nginx":
            # keepalive to the upstream would be a worker's own connection, and a request there has reached it
            run = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kiln-")))
            backend = stack.enter_context(servers.gunicorn(tmp_path, bind=f"unix:{run}/kiln.sock"))
            base = stack.enter_context(
                servers.nginx(tmp_path, run, "", backend, lambda text: text.replace("keepalive 16;", ""))
            )
        else:
            backend = base = stack.enter_context(servers.gunicorn(tmp_path))
        victims = [psutil.Process(worker) for worker in base.workers()]
        for victim in victims:
            victim.suspend()
        outcomes: list[int | str] = []

        def client() -> None:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", base.port, timeout=30)) as connection:
                outcomes.append(post(connection, photo))

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        wait_for(lambda: waiting(backend) >= CLIENTS, "all requests in the backlog")
        assert outcomes == []
        for victim in victims:
            victim.kill()
        for thread in threads:
            thread.join()
        figure(f"both workers killed, {CLIENTS} requests in the backlog, {way}", f"{outcomes.count(200)} answered")
    assert outcomes == [200] * CLIENTS


def waiting(backend: Server) -> int:
    """Connections of the backlog."""
    if backend.port:
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        state = [line.split() for line in lines]
        # the receive queue of a listening socket is its backlog
        return sum(int(f[4].split(":")[1], 16) for f in state if f[3] == "0A" and f[1].endswith(f":{backend.port:04X}"))
    path = backend.url.removeprefix("unix:")
    unix = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return sum(f[-1] == path and f[5] == "02" for f in unix)  # 02: connecting, not yet accepted


@pytest.mark.parametrize("way", ["direct", "nginx"])
def test_a_killed_master_behind_a_socket_that_is_kept(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, photo: bytes, figure: Figure, way: str
) -> None:
    """A service manager holds the socket and starts a new master; the orphans finish what they have."""
    with contextlib.ExitStack() as stack:
        if way == "nginx":
            run = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kiln-")))
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(f"{run}/kiln.sock")
            listener.listen(2048)
        else:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2048))
        first = stack.enter_context(servers.gunicorn(tmp_path, listener=listener))
        base = stack.enter_context(servers.nginx(tmp_path, run, "", first)) if way == "nginx" else first
        orphans = [psutil.Process(worker) for worker in base.workers()]
        with traffic(base.port, photo, clients=CLIENTS) as load:
            load.more(50)
            first.process.kill()
            first.process.wait()
            stack.enter_context(servers.gunicorn(tmp_path_factory.mktemp("second"), listener=listener))
            wait_for(lambda: not any(orphan.is_running() for orphan in orphans), "the orphans to leave", 60)
            load.more(50)
        figure(f"master killed, its socket kept, {way}", load)
        assert load.failed() == 0
        assert "refused" not in load.outcomes


def test_a_killed_master_without(tmp_path: Path, photo: bytes, figure: Figure) -> None:
    """Its workers do not go on for ever; whoever comes then is refused until somebody starts it again."""
    with servers.gunicorn(tmp_path) as base:
        orphans = [psutil.Process(worker) for worker in base.workers()]
        with traffic(base.port, photo, clients=CLIENTS) as load:
            load.more(50)
            base.process.kill()
            wait_for(lambda: not any(orphan.is_running() for orphan in orphans), "the orphans to leave", 60)
        figure("master killed, directly", load)
        assert load.failed() == 0
