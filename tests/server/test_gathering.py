"""A model whose engine gains by batches: the requests of many clients are answered together; each gets its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from PIL import Image

from model.preprocess import Preprocessing
from tests import bundles
from tests.pictures import encoded
from tests.servers import Server, gunicorn

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker with a small model in Keras, which is known to gain."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    store = tmp_path_factory.mktemp("store")
    how = Preprocessing(16, 16)
    bundles.make(store, "small", "1", bundles.convolutional(), labels=("a", "b"), preprocessing=how)
    bundles.make(store, "dense", "1", bundles.dense())
    folder = tmp_path_factory.mktemp("gathering")
    with gunicorn(folder, store=store, model="small", workers=1, load_wait=60) as server:
        yield server


def pictures() -> list[bytes]:
    return [encoded(Image.new("RGB", (20, 20), (8 * n, 255 - 8 * n, 90)), "PNG") for n in range(32)]


def ask(server: Server, body: bytes, query: str = "") -> Any:
    return requests.post(f"{server.url}/predict{query}", data=body, headers={"Content-Type": "image/png"}, timeout=60)


def score(answer: Any) -> float:
    assert answer.status_code == 200, answer.text
    return {entry["label"]: entry["score"] for entry in answer.json()["predictions"][0]["top"]}["a"]


@pytest.mark.parametrize("query", ["", "?top=2"])
def test_everyone_gets_their_own_answer(service: Server, query: str) -> None:
    alone = [score(ask(service, picture)) for picture in pictures()]
    assert len({round(value, 4) for value in alone}) > 8
    with ThreadPoolExecutor(32) as pool:
        for _ in range(3):
            together = [score(answer) for answer in pool.map(lambda picture: ask(service, picture, query), pictures())]
            assert together == pytest.approx(alone, abs=1e-5)


def test_bad_ones_among_them_fail_alone(service: Server) -> None:
    bodies = [body for picture in pictures() for body in (picture, picture[:30])]
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda body: ask(service, body), bodies))
    assert [answer.status_code for answer in answers] == [200, 400] * 32


def test_tensors_of_another_model_beside_it(service: Server) -> None:
    def rows(number: int) -> Any:
        url = f"{service.url}/predict?model=dense"
        return requests.post(url, json={"instances": [[number, 0, 0, 1]] * 3}, timeout=60).json()["predictions"]

    alone = [rows(number) for number in range(8)]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(rows, range(8)))
    for one, other in zip(alone, together, strict=True):
        for left, right in zip(one, other, strict=True):
            assert left == pytest.approx(right, abs=1e-5)
