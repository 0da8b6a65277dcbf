"""More than can be answered: refused at once or dropped in time, never lost, and over when the storm is over."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from loadtest import openloop
from tests import servers
from tests.servers import Server, assert_error, connect, post_head, read_answer, wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()
HEAD = post_head("/predict", "Content-Type: image/jpeg", f"Content-Length: {len(PHOTO)}")


def head(*more: str) -> bytes:
    return post_head("/predict", "Content-Type: image/jpeg", f"Content-Length: {len(PHOTO)}", *more)


def samples(server: Server, name: str) -> list[tuple[dict[str, str], float]]:
    families = text_string_to_metric_families(requests.get(f"{server.url}/metrics", timeout=10).text)
    return [(s.labels, s.value) for f in families for s in f.samples if s.name == name]


def errors(server: Server) -> dict[str, float]:
    return {labels["code"]: value for labels, value in samples(server, "kiln_errors_total")}


@pytest.mark.parametrize("keep", [True, False], ids=["kept connections", "new connections"])
def test_a_storm_is_refused_at_once_and_leaves_nothing(start_service: Callable[..., Server], *, keep: bool) -> None:
    server = start_service(workers=1, deadline=0.2)
    outcome = openloop.run(server.port, openloop.post(PHOTO, keep=keep), rate=4000, seconds=2)
    assert not outcome.others
    assert len(outcome.answered) > 10
    assert len(outcome.refused) > len(outcome.answered)
    assert len(outcome.answered) + len(outcome.refused) == outcome.offered
    found = errors(server)
    assert found["overloaded"] + found.get("deadline_exceeded", 0) == len(outcome.refused)
    assert requests.post(f"{server.url}/predict", data=PHOTO, timeout=10).status_code == 200
    assert len(server.workers()) == 1


def test_what_the_main_loop_answers_counts_for_no_thread(start_service: Callable[..., Server]) -> None:
    server = start_service(workers=1)
    with requests.Session() as session:
        for _ in range(20):
            assert session.get(f"{server.url}/models", timeout=10).status_code == 200
            assert session.post(f"{server.url}/predict?top=1", data=PHOTO, timeout=10).status_code == 200

    def idle() -> bool:
        [(_, in_flight)] = samples(server, "kiln_requests_in_flight")
        assert in_flight >= 0
        return in_flight == 0

    wait_for(idle, "no connection in a thread's hands")


def test_one_client_after_the_other_is_no_overload(start_service: Callable[..., Server]) -> None:
    """Each request takes longer than the deadline leaves for waiting, and nobody waits; only connections close."""
    server = start_service(workers=1, deadline=0.05)
    large = io.BytesIO()
    Image.effect_noise((2000, 1500), 50).convert("RGB").save(large, "PNG", compress_level=1)
    statuses = [
        requests.post(f"{server.url}/predict", data=large.getvalue(), timeout=10).status_code for _ in range(40)
    ]
    assert statuses == [200] * 40


@pytest.mark.parametrize("cut", [0, len(head()) + 100])
def test_a_refusal_says_what_to_do(start_service: Callable[..., Server], cut: int) -> None:
    server = start_service(workers=1)
    for own in ("0", "60000"):
        with connect(server.url) as connection:
            request = head(f"X-Deadline-Ms: {own}", "X-Request-ID: mine") + PHOTO
            connection.sendall(request[:cut])
            connection.sendall(request[cut:])
            answer = read_answer(connection)
            assert answer is not None
            assert answer.headers["X-Request-ID"] == "mine"
            if own == "0":
                assert_error(answer, 503, "deadline_exceeded")
                assert int(answer.headers["Retry-After"]) >= 1
            else:
                assert answer.status_code == 200


def test_time_spent_in_the_proxy_counts(start_service: Callable[..., Server]) -> None:
    server = start_service(workers=1, deadline=5)
    with connect(server.url) as connection:
        connection.sendall(head("X-Request-Start: t=1700000000.000", "X-Deadline-Ms: 900") + PHOTO)
        assert_error(read_answer(connection), 503, "deadline_exceeded")


def test_a_request_that_is_not_plain_is_refused_in_the_same_way(start_service: Callable[..., Server]) -> None:
    server = start_service(workers=1)
    for body in (b"{}", b"x" * 200_000):
        late = {"X-Deadline-Ms": "0", "Content-Type": "application/json"}
        answer = requests.post(f"{server.url}/predict", data=body, headers=late, timeout=10)
        assert_error(answer, 503, "deadline_exceeded")
    assert requests.get(f"{server.url}/live", headers={"X-Deadline-Ms": "0"}, timeout=10).status_code == 200


def test_work_for_a_client_that_has_gone_is_dropped(start_service: Callable[..., Server]) -> None:
    server = start_service(workers=1)
    many = 60
    with connect(server.url) as first:
        first.sendall(head() + PHOTO)  # the worker is awake and has something to do while the others come and go
        for _ in range(many):
            with connect(server.url) as connection:
                connection.sendall(head() + PHOTO)
        assert read_answer(first) is not None

    def counted() -> bool:
        found = requests.get(f"{server.url}/metrics", timeout=10).text
        answered = sum(
            s.value
            for f in text_string_to_metric_families(found)
            for s in f.samples
            if s.name == "kiln_requests_total" and s.labels["method"] in ("POST", "other")
        )
        return answered >= many + 1

    wait_for(counted, "every request to be answered or dropped")


def test_a_proxy_s_client_that_has_gone_is_not_computed(tmp_path: Path) -> None:
    many = 60
    with servers.behind_nginx(tmp_path, workers=1) as server:
        with connect(server.url) as first:
            first.sendall(head() + PHOTO)
            for _ in range(many):
                with connect(server.url) as connection:
                    connection.sendall(head() + PHOTO)
            assert read_answer(first) is not None

        def posts() -> float:
            counted = samples(server, "kiln_requests_total")
            return sum(value for labels, value in counted if labels["method"] in ("POST", "other"))

        # One that nginx gave up before it had a connection to the worker never came here.
        wait_for(lambda: posts() > many / 2, "most of them to be dealt with")
        assert errors(server)["client_gone"] > many / 4
