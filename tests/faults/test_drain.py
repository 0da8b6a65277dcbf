"""SIGTERM under load: not ready first, a delay, then the stop; no request that was taken is lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests import servers
from tests.faults.traffic import traffic
from tests.servers import Server, assert_error, wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

Figure = Callable[[str, object], None]


@pytest.mark.parametrize("way", ["direct", "nginx"])
def test_a_load_balancer_sees_it_before_the_stop(tmp_path: Path, photo: bytes, way: str, figure: Figure) -> None:
    start = servers.behind_nginx if way == "nginx" else servers.gunicorn
    with start(tmp_path, drain=3) as base:
        master = (base.backend or base).process
        out = threading.Event()  # the balancer has taken the node out

        with traffic(base.port, photo, until=out.is_set) as load:
            master.terminate()
            wait_for(lambda: requests.get(f"{base.url}/ready", timeout=10).status_code == 503, "/ready to say so")
            assert_error(requests.get(f"{base.url}/ready", timeout=10), 503, "leaving")
            load.more(20)  # as long as it has not heard, it is served
            assert requests.post(f"{base.url}/predict", data=photo, timeout=10).status_code == 200
            assert master.poll() is None
            out.set()
        assert master.wait(30) == 0
        assert set(load.outcomes) == {200}
        figure(f"SIGTERM with KILN_DRAIN=3, {way}", load)


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "new"])
def test_term_without_a_delay_loses_nothing_that_was_taken(
    start_service: Callable[..., Server], photo: bytes, keep: bool, figure: Figure
) -> None:
    """Clients are refused from then on, which they can tell from a request that may have run."""
    base = start_service()
    with traffic(base.port, photo, clients=8, keep=keep) as load:
        load.more(100)
        base.process.terminate()
        assert base.process.wait(30) == 0
    figure(f"SIGTERM, {'kept' if keep else 'new'} connections", load)
    assert load.failed() == 0


def test_a_second_term_stops_at_once(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service(drain=3600)
    base.process.terminate()
    wait_for(lambda: "Leaving" in base.log.read_text(), "the first signal")
    assert requests.post(f"{base.url}/predict", data=photo, timeout=10).status_code == 200
    base.process.terminate()
    assert base.process.wait(30) == 0


def test_a_reload_while_leaving_changes_nothing(start_service: Callable[..., Server]) -> None:
    base = start_service(drain=3, workers=1)
    [before] = base.workers()
    base.process.terminate()
    wait_for(lambda: "Leaving" in base.log.read_text(), "the signal")
    base.process.send_signal(signal.SIGHUP)
    wait_for(lambda: base.workers() not in ([before], []) or base.process.poll() is not None, "new workers")
    with contextlib.suppress(requests.ConnectionError):
        assert requests.get(f"{base.url}/ready", timeout=10).status_code == 503
    assert base.process.wait(30) == 0
