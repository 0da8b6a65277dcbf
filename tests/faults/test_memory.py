"""A worker that runs out of memory: it alone is lost, or the one request that asked for too much."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import requests
from PIL import Image

from tests import pictures
from tests.faults.traffic import traffic
from tests.servers import Server, wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="prlimit")]

Figure = Callable[[str, object], None]


def test_an_allocation_that_fails_costs_its_request_alone(
    start_service: Callable[..., Server], photo: bytes, figure: Figure
) -> None:
    """RLIMIT_AS a little over what the worker has: a large picture does not fit any more, photos do."""
    base = start_service(workers=1)
    for _ in range(20):
        assert requests.post(f"{base.url}/predict", data=photo, timeout=10).status_code == 200
    [worker] = base.workers()
    limit = psutil.Process(worker).memory_info().vms + 40 * 1024 * 1024
    resource.prlimit(worker, resource.RLIMIT_AS, (limit, limit))
    large = pictures.encoded(Image.new("RGB", (7000, 7000)), "PNG")
    with traffic(base.port, photo) as load:
        statuses = [requests.post(f"{base.url}/predict", data=large, timeout=30).status_code for _ in range(3)]
        load.more(50)
    figure("picture of 147 MB in a worker with 40 MB left", f"{statuses}; beside it {load}")
    assert set(statuses) == {413}
    assert set(load.outcomes) == {200}
    assert base.workers() == [worker]


def memory_group() -> Path:
    """A control group of our own for memory; skips where none can be made."""
    for root in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        group = root / "kiln-test-memory"
        try:
            group.mkdir(exist_ok=True)
        except OSError:
            continue
        if any((group / name).exists() for name in ("memory.limit_in_bytes", "memory.max")):
            return group
        group.rmdir()
    pytest.skip("no control group for memory can be made here")


def test_the_kernel_kills_a_worker_that_is_out_of_memory(
    start_service: Callable[..., Server], photo: bytes, figure: Figure
) -> None:
    """Its limit is that of a control group, as systemd's MemoryMax= sets one."""
    base = start_service()
    before = base.workers()
    victim = psutil.Process(before[0])
    group = memory_group()
    try:
        limit = next(group / name for name in ("memory.limit_in_bytes", "memory.max") if (group / name).exists())
        try:
            (group / "cgroup.procs").write_text(str(victim.pid))
            limit.write_text(str(16 * 1024 * 1024))
        except OSError as refused:
            pytest.skip(f"a control group for memory does not work here: {refused}")
        large = pictures.encoded(Image.new("RGB", (6000, 6000)), "PNG")
        with traffic(base.port, photo) as load:
            for _ in range(20):
                with contextlib.suppress(requests.ConnectionError):
                    requests.post(f"{base.url}/predict", data=large, timeout=30)
                if victim.pid not in base.workers():
                    break
            else:
                pytest.skip("this kernel does not enforce the limit")
            wait_for(lambda: len(base.workers()) == 2, "a new worker")
            load.more(50)
    finally:
        wait_for(lambda: not (group / "cgroup.procs").read_text().strip() or victim.kill(), "the group to be empty")
        group.rmdir()
    assert "Perhaps out of memory?" in base.log.read_text()
    assert before[1] in base.workers()
    assert load.failed() <= 4
    figure("a worker killed by the kernel for its memory", load)
