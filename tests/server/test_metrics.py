"""/metrics: one sum over all workers, which neither falls nor grows files when workers come and go."""

from __future__ import annotations

import signal
from collections.abc import Callable

import psutil
import pytest
import requests

from model.store import State
from tests.servers import Server, assert_error, exchange, wait_for

pytestmark = pytest.mark.server

ANSWERED = 'kiln_requests_total{dialect="kiln",method="POST",route="/predict",status="200"}'
CATDOG = 'dialect="kiln",engine="litert",model="catdog",version="1"'
READY = 'kiln_model_ready{model="catdog",version="1"}'


def post(base: Server, photo: bytes, times: int) -> None:
    """Each on a connection of its own, so that they spread over the workers."""
    for _ in range(times):
        assert requests.post(f"{base.url}/predict", data=photo, timeout=10).status_code == 200


def counters(base: Server) -> dict[str, float]:
    """What may only grow."""
    return {
        name: value
        for name, value in base.metrics().items()
        if name.partition("{")[0].endswith(("_total", "_count", "_sum", "_bucket"))
    }


def assert_none_fell(before: dict[str, float], after: dict[str, float]) -> None:
    assert {name: (value, after.get(name)) for name, value in before.items() if not value <= after.get(name, -1)} == {}


def replace_workers(base: Server, victims: list[int]) -> None:
    """Kill workers with no chance to tidy up, and wait for their successors to be ready."""
    for victim in victims:
        psutil.Process(victim).kill()
    wait_for(lambda: len(new := base.workers()) == 2 and not set(victims) & set(new), "new workers")
    wait_for(lambda: base.metrics().get(READY) == 2, "their models")


def test_counts_are_of_all_workers_and_outlive_them(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service()
    post(base, photo, 30)
    # Both have counted, or the sum would prove nothing.
    assert {"counter_0.db", "counter_1.db"} <= {file.name for file in base.metrics_folder().iterdir()}
    first = counters(base)
    assert first[ANSWERED] == first["kiln_images_total"] == first[f"kiln_infer_seconds_count{{{CATDOG}}}"] == 30

    replace_workers(base, base.workers()[:1])
    second = counters(base)
    assert second[ANSWERED] == 30
    assert_none_fell(first, second)
    post(base, photo, 10)

    before = set(base.workers())
    base.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(now := base.workers()) == 2 and not before & set(now), "all workers anew")
    wait_for(lambda: base.metrics().get(READY) == 2, "their models")
    third = counters(base)
    assert third[ANSWERED] == 40
    assert_none_fell(second, third)
    post(base, photo, 5)
    assert counters(base)[ANSWERED] == 45


def test_files_do_not_pile_up(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service()
    post(base, photo, 20)
    folder = base.metrics_folder()
    files = {file.name for file in folder.iterdir()}
    seen = counters(base)
    for _ in range(5):  # both workers each time: ten kills
        replace_workers(base, base.workers())
        now = counters(base)
        assert_none_fell(seen, now)
        seen = now
    post(base, photo, 20)
    assert {file.name for file in folder.iterdir()} <= files | {
        f"{kind}_{slot}.db" for kind in ("counter", "histogram", "gauge_livesum", "gauge_max") for slot in (0, 1)
    }
    assert counters(base)[ANSWERED] == 40


def test_a_file_that_a_worker_is_just_creating_does_no_harm(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service(workers=1)
    post(base, photo, 3)
    (base.metrics_folder() / "gauge_livesum_1.db").touch()  # a worker truncates it to its size in the next moment
    assert counters(base)[ANSWERED] == 3


def test_every_kind_of_request_is_counted(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service(workers=1)
    post(base, photo, 2)
    assert requests.post(f"{base.url}/predict", files=[("image", photo)] * 3, timeout=10).status_code == 200
    assert_error(requests.post(f"{base.url}/predict", data=b"no", timeout=10), 400, "not_an_image")
    assert_error(requests.get(f"{base.url}/nowhere/{'x' * 50}", timeout=10), 404)
    assert_error(requests.get(f"{base.url}/predict", timeout=10), 405)
    assert_error(requests.request("BREW", f"{base.url}/predict", timeout=10), 405)
    found = base.metrics()
    assert found[ANSWERED] == 3
    assert found["kiln_images_total"] == 5
    assert found['kiln_errors_total{code="not_an_image"}'] == 1
    assert found['kiln_errors_total{code="not_found"}'] == 1
    assert found['kiln_errors_total{code="method_not_allowed"}'] == 2
    assert found['kiln_requests_total{dialect="kiln",method="GET",route="unknown",status="404"}'] == 1
    assert found['kiln_request_seconds_count{dialect="kiln",route="/predict"}'] == 4
    assert found[f'kiln_model_errors_total{{code="not_an_image",{CATDOG}}}'] == 1
    # Queue and compute apart, for each model, by what it answered.
    for name in ("answer", "decode", "infer"):
        assert found[f"kiln_{name}_seconds_count{{{CATDOG}}}"] == 3
    assert found["kiln_queue_seconds_count"] >= 4
    batches = 'engine="litert",model="catdog",version="1"'
    assert found[f"kiln_batch_instances_count{{{batches}}}"] == 3
    assert found[f"kiln_batch_instances_sum{{{batches}}}"] == 5
    # A client must not be able to make up labels.
    assert not any("BREW" in name or "xxxx" in name for name in found)


def test_requests_that_never_reach_the_app_are_counted(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service(workers=1)
    late = requests.post(f"{base.url}/predict", data=photo, headers={"X-Deadline-Ms": "0"}, timeout=10)
    assert_error(late, 503, "deadline_exceeded")
    assert_error(exchange(base.url, b"NO HTTP\r\n\r\n"), 400, "bad_request")
    found = base.metrics()
    assert found['kiln_errors_total{code="deadline_exceeded"}'] == 1
    assert found['kiln_errors_total{code="bad_request"}'] == 1
    assert found['kiln_requests_total{dialect="kiln",method="other",route="unread",status="503"}'] == 1


def test_workers_loads_and_states(start_service: Callable[..., Server]) -> None:
    base = start_service()
    found = base.metrics()
    assert found["kiln_workers"] == found["kiln_workers_configured"] == found["kiln_worker_starts_total"] == 2
    assert found["kiln_requests_waiting"] == 0
    assert found['kiln_model_load_seconds_count{model="catdog",outcome="available",version="1"}'] == 2
    states = {state: found[f'kiln_model_state{{model="catdog",state="{state}",version="1"}}'] for state in State}
    assert states == dict.fromkeys(State, 0) | {State.AVAILABLE: 2}
    replace_workers(base, base.workers())
    found = base.metrics()
    assert found["kiln_workers"] == found["kiln_workers_configured"] == 2
    assert found["kiln_worker_starts_total"] == 4


def test_the_format_is_prometheus(base: Server) -> None:
    answer = requests.get(f"{base.url}/metrics", timeout=10)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE kiln_requests_total counter" in answer.text or "# TYPE kiln_requests counter" in answer.text
    assert base.metrics()[READY] == len(base.workers())
