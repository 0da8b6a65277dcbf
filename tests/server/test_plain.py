"""Plain requests take a shorter way through the worker; nobody can tell by the answers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import requests

from tests.servers import GUNICORN, Server, connect, gunicorn, post_head, read_answer

pytestmark = pytest.mark.server

PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()
HEAD = post_head("/predict", "Content-Type: image/jpeg", f"Content-Length: {len(PHOTO)}", "X-Request-ID: one")


def test_the_answer_is_the_one_of_the_long_way(service: Server) -> None:
    request = {"data": PHOTO, "headers": {"Content-Type": "image/jpeg", "X-Request-ID": "one"}, "timeout": 10}
    short, long = (requests.post(f"{service.url}/predict{query}", **request) for query in ("", "?top=2"))
    assert short.status_code == long.status_code == 200
    assert short.content == long.content
    assert list(short.headers) == list(long.headers)
    assert short.headers["Connection"] == long.headers["Connection"] == "keep-alive"


def test_many_on_one_connection(service: Server) -> None:
    with connect(service.url) as connection:
        for _ in range(20):
            connection.sendall(HEAD + PHOTO)
            answer = read_answer(connection)
            assert answer is not None
            assert answer.status_code == 200
            assert answer.json()["predictions"][0]["label"] == "cat"


def test_several_sent_at_once_are_answered_in_order(service: Server) -> None:
    heads = [HEAD.replace(b"ID: one", b"ID: %d" % number) for number in range(3)]
    with connect(service.url) as connection:
        connection.sendall(b"".join(head + PHOTO for head in heads))
        assert [read_answer(connection).headers["X-Request-ID"] for _ in heads] == ["0", "1", "2"]


@pytest.mark.parametrize("cut", [1, len(HEAD) - 2, len(HEAD), len(HEAD) + 1, len(HEAD + PHOTO) - 1])
def test_in_two_pieces(service: Server, cut: int) -> None:
    whole = HEAD + PHOTO
    with connect(service.url) as connection:
        for _ in range(2):
            connection.sendall(whole[:cut])
            connection.sendall(whole[cut:])
            answer = read_answer(connection)
            assert answer is not None
            assert answer.status_code == 200


def test_a_client_that_takes_its_answer_late_gets_all_of_it(service: Server) -> None:
    count = 200
    with connect(service.url, timeout=60) as connection:
        for _ in range(count):  # none is read meanwhile
            connection.sendall(HEAD + PHOTO)
        assert all(read_answer(connection).status_code == 200 for _ in range(count))


def test_gunicorns_own_access_log_sees_them(tmp_path: Path) -> None:
    command = (*GUNICORN, "--access-logfile", str(tmp_path / "access.log"))
    with gunicorn(tmp_path, command=command, workers=1) as server:
        requests.post(f"{server.url}/predict", data=PHOTO, headers={"Content-Type": "image/jpeg"}, timeout=10)
        assert '"POST /predict HTTP/1.1" 200' in (tmp_path / "access.log").read_text()


def test_hooks_of_the_operator_see_them(tmp_path: Path) -> None:
    shipped = Path(sys.modules["tests.servers"].ROOT) / "deploy" / "gunicorn.conf.py"
    own = tmp_path / "own.conf.py"
    own.write_text(
        f"exec(compile(open({str(shipped)!r}).read(), {str(shipped)!r}, 'exec'))\n"
        "def pre_request(worker, req):\n    worker.log.info('seen %s', req.path)\n"
    )
    command = (*GUNICORN[:-1], str(own))
    with gunicorn(tmp_path, command=command, workers=1) as server:
        requests.post(f"{server.url}/predict", data=PHOTO, headers={"Content-Type": "image/jpeg"}, timeout=10)
        assert "seen /predict" in server.log.read_text()
