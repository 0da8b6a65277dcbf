"""KServe V1 over real sockets, asked by KServe's own client."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests import kserve_client, stores
from tests.servers import Server

pytestmark = pytest.mark.server

PHOTO = base64.b64encode((Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()).decode()
PICTURE = {"instances": [{"b64": PHOTO}]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    stores.add(folder, "1")
    stores.corrupt(stores.add(folder, "1", name="broken"))
    return folder


@pytest.fixture
def ask(store: Path, start_service: Callable[..., Server]) -> Callable[..., Any]:
    """What KServe's client gets of a service that has these settings: ask(settings, lambda client, url: ...)."""
    module = kserve_client.load()

    def answer(settings: dict[str, str], question: Callable[[Any, str], Awaitable[Any]]) -> Any:
        url = start_service(store=store, workers=1, **settings).url

        async def asked() -> Any:
            async with module.InferenceRESTClient(module.RESTConfig(protocol="v1")) as client:
                return await question(client, url)

        return asyncio.run(asked())

    return answer


@pytest.mark.parametrize("settings", [{"v1_status": "kserve"}, {"dialects": "kserve_v1"}], ids=str)
def test_its_form(ask: Callable[..., Any], settings: dict[str, str]) -> None:
    async def question(client: Any, url: str) -> None:
        assert await client.is_server_live(url) is True
        assert await client.is_model_ready(url, "catdog") is True
        assert await client.is_model_ready(url, "broken") is False
        with pytest.raises(Exception, match="Model with name foo does not exist"):
            await client.is_model_ready(url, "foo")
        answer = await client.infer(url, PICTURE, "catdog")
        assert sum(answer["predictions"][0]) == pytest.approx(1, abs=1e-3)
        with pytest.raises(Exception, match="Model with name broken is not ready"):
            await client.infer(url, PICTURE, "broken")
        with pytest.raises(Exception, match="Model with name catdog does not explain its predictions"):
            await client.explain(url, "catdog", PICTURE)

    ask(settings, question)


def test_both_forms_in_one(ask: Callable[..., Any]) -> None:
    async def question(client: Any, url: str) -> None:
        assert await client.is_server_live(url) is True
        assert await client.is_model_ready(url, "catdog") is True
        assert await client.is_model_ready(url, "broken") is False
        assert set(await client.infer(url, PICTURE, "catdog")) == {"predictions"}

    ask({"v1_status": "both"}, question)


def test_by_default_it_predicts(ask: Callable[..., Any]) -> None:
    """Whether a model is ready TensorFlow Serving's form does not say to it."""

    async def question(client: Any, url: str) -> None:
        assert set(await client.infer(url, PICTURE, "catdog")) == {"predictions"}
        with pytest.raises(Exception, match="Missing 'inputs' or 'instances' key"):
            await client.infer(url, {}, "catdog")

    ask({}, question)
