"""X-Request-ID is taken over where it is sane, made here where it is not, and on every answer."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

pytestmark = pytest.mark.http


@pytest.mark.parametrize("offered", ["abc", "4bf92f3577b34da6a3ce929d0e0e4736", "Root=1-67891233-abcdef", "a" * 128])
def test_a_sane_one_is_kept(client: FlaskClient, offered: str) -> None:
    assert client.get("/live", headers={"X-Request-ID": offered}).headers["X-Request-ID"] == offered


@pytest.mark.parametrize("offered", ["", " ", "a b", "ü", "a" * 129, "<script>", '"', "a\tb", "-starts-with-a-dash"])
def test_others_are_replaced(client: FlaskClient, offered: str) -> None:
    answer = client.get("/live", headers={"X-Request-ID": offered}).headers["X-Request-ID"]
    assert answer != offered
    assert len(answer) == 32


def test_errors_carry_it_too(client: FlaskClient) -> None:
    answer = client.get("/nothing", headers={"X-Request-ID": "mine"})
    assert answer.json["request_id"] == answer.headers["X-Request-ID"] == "mine"
    assert client.get("/nothing").headers["X-Request-ID"] != client.get("/nothing").headers["X-Request-ID"]
