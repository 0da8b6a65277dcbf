"""A worker that hangs in native code is replaced within the timeout, and its stack is in the log."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests import servers
from tests.faults.traffic import traffic
from tests.servers import Server, connect, post_head, wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

TIMEOUT = 5  # seconds; the shortest that there is
HANGING = (*servers.GUNICORN, "tests.faults.hanging:app")

Figure = Callable[[str, object], None]


def hang(base: Server, lock: str) -> socket.socket:
    """A client whose request never ends."""
    connection = connect(base.url)
    connection.sendall(post_head(f"/hang/{lock}", "Content-Length: 0"))
    return connection


def replaced(base: Server, before: set[int]) -> set[int]:
    """Wait until one of the workers is gone and another one is there."""
    wait_for(
        lambda: len(now := set(base.workers())) == len(before) and now != before, "a new worker", 180
    )  # TensorFlow may take its time
    return before - set(base.workers())


@pytest.mark.parametrize("lock", ["held", "free"])
def test_a_worker_that_hangs_is_replaced(
    start_service: Callable[..., Server], photo: bytes, figure: Figure, lock: str
) -> None:
    base = start_service(command=HANGING, timeout=TIMEOUT)
    before = set(base.workers())
    with traffic(base.port, photo) as load:
        with hang(base, lock):
            began = time.monotonic()
            assert len(replaced(base, before)) == 1
            seconds = time.monotonic() - began
        load.more(50)
    text = base.log.read_text()
    assert "Fatal Python error: Aborted" in text
    assert "hanging.py" in text
    assert "WORKER TIMEOUT" in text
    assert load.failed() <= 4  # each client had one request with that worker at most
    figure(f"hang in native code, lock {lock}, KILN_TIMEOUT={TIMEOUT}", f"replaced after {seconds:.1f} s; {load}")


@pytest.mark.timeout(300)
def test_a_thread_that_hangs_in_its_engine_counts_too(
    tmp_path: Path, start_service: Callable[..., Server], figure: Figure
) -> None:
    """Where requests are gathered, threads compute, and the main loop lives on."""
    from tests import bundles

    bundles.make(tmp_path, "dense", "1", bundles.dense())
    base = start_service(command=HANGING, store=tmp_path, model="dense", workers=1, timeout=20, load_wait=15)
    before = set(base.workers())
    with hang(base, "free"):
        began = time.monotonic()
        replaced(base, before)
        figure("hang in a thread, KILN_TIMEOUT=20", f"replaced after {time.monotonic() - began:.1f} s")
    assert "hanging.py" in base.log.read_text()


def test_a_worker_that_is_stopped_is_replaced(
    start_service: Callable[..., Server], photo: bytes, figure: Figure
) -> None:
    """As one that waits for a disk for ever, it cannot even be aborted."""
    base = start_service(timeout=TIMEOUT)
    before = set(base.workers())
    victim = psutil.Process(min(before))
    with traffic(base.port, photo) as load:
        victim.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        assert replaced(base, before) == {victim.pid}
        seconds = time.monotonic() - began
        load.more(50)
    assert load.failed() <= 4
    figure(f"SIGSTOP, KILN_TIMEOUT={TIMEOUT}", f"replaced after {seconds:.1f} s; {load}")
