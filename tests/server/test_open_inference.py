"""The Open Inference Protocol V2, asked by the stock client over HTTP, of real workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from app.keys import file
from tests import servers, stores
from tests.servers import Server, wait_for

pytestmark = pytest.mark.server

LENGTH = "Inference-Header-Content-Length"


@pytest.fixture
def client(base: Server) -> Iterator[Any]:
    """The stock client, without and with nginx in between."""
    with triton.InferenceServerClient(base.url.removeprefix("http://"), connection_timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (2, 128, 128, 3)).astype(np.float32)


def given(name: str, values: np.ndarray, *, binary: bool = True) -> Any:
    datatype = "BYTES" if values.dtype == object else "FP32"
    made = triton.InferInput(name, list(values.shape), datatype)
    return made.set_data_from_numpy(values, binary_data=binary)


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("catdog")
    assert client.is_model_ready("catdog", "1")
    assert not client.is_model_ready("catdog", "2")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    [declared] = client.get_model_metadata("catdog", "1")["inputs"]
    assert (declared["name"], declared["datatype"], declared["shape"]) == ("image", "FP32", [-1, 128, 128, 3])
    with pytest.raises(InferenceServerException, match=r"\[404\] Request for unknown model: 'lion' is not found"):
        client.get_model_metadata("lion")


def test_tensors_in_every_form_get_the_same(client: Any, picture: np.ndarray) -> None:
    wanted = [[triton.InferRequestedOutput("probabilities", binary_data=binary)] for binary in (True, False)]
    found = [
        client.infer("catdog", [given("image", picture)], request_id="7"),
        client.infer("catdog", [given("image", picture)], outputs=wanted[0], model_version="1"),
        client.infer("catdog", [given("image", picture, binary=False)], outputs=wanted[1]),
        client.infer(
            "catdog",
            [given("image", picture)],
            request_compression_algorithm="gzip",
            response_compression_algorithm="gzip",
        ),
        client.infer("catdog", [given("image", picture)], request_compression_algorithm="deflate"),
    ]
    assert found[0].get_response()["id"] == "7"
    scores = [result.as_numpy("probabilities") for result in found]
    assert scores[0].shape == (2, 2)
    assert all(np.allclose(each, scores[0], atol=1e-6) for each in scores)


def test_pictures_and_their_classes(client: Any, base: Server, photo: bytes) -> None:
    wanted = [triton.InferRequestedOutput("probabilities", class_count=1)]
    result = client.infer("catdog", [given("image", np.array([photo] * 3, object))], outputs=wanted)
    names = [each.decode().split(":")[2] for each in result.as_numpy("probabilities").ravel()]
    assert names == ["cat"] * 3
    answer = requests.post(f"{base.url}/v2/models/catdog/infer", data=photo, headers={LENGTH: "0"}, timeout=30)
    size = int(answer.headers[LENGTH])
    [output] = json.loads(answer.content[:size])["outputs"]
    assert output["parameters"]["binary_data_size"] == len(answer.content) - size == 8
    assert np.frombuffer(answer.content[size:], np.float32)[0] > 0.5


def test_errors_reach_the_client_with_their_text(client: Any, base: Server) -> None:
    with pytest.raises(InferenceServerException, match=r"\[400\] unexpected shape for input 'image'"):
        client.infer("catdog", [given("image", np.zeros((1, 2), np.float32))])
    with pytest.raises(InferenceServerException, match=r"\[403\] explicit model load / unload is not allowed"):
        client.unload_model("catdog")
    url = f"{base.url}/v2/models/catdog/infer"
    for length in ("x", "99", "-1"):
        answer = requests.post(url, data=b"{}", headers={LENGTH: length}, timeout=30)
        assert (answer.status_code, list(answer.json())) == (400, ["error"]), answer.text


def test_the_index_and_statistics_are_of_all_workers(client: Any, picture: np.ndarray) -> None:
    assert client.get_model_repository_index() == [{"name": "catdog", "version": "1", "state": "READY", "reason": ""}]

    def done() -> int:
        [found] = client.get_inference_statistics("catdog")["model_stats"]
        return int(found["inference_count"])

    before = done()
    for _ in range(10):
        client.infer("catdog", [given("image", picture)])
    assert done() == before + 20


def test_a_refusal_by_the_worker_has_the_form_of_the_dialect(start_service: Callable[..., Server]) -> None:
    server = start_service(workers=1)
    answer = requests.post(
        f"{server.url}/v2/models/catdog/infer", data=b"{}", headers={"X-Deadline-Ms": "0"}, timeout=30
    )
    assert answer.status_code == 503
    assert list(answer.json()) == ["error"]


def test_the_dialect_can_be_switched_off(start_service: Callable[..., Server]) -> None:
    server = start_service(workers=1, dialects="none")
    answer = requests.get(f"{server.url}/v2", timeout=30)
    servers.assert_error(answer, 404, "not_found")


def test_a_key_is_wanted_as_everywhere_but_for_health(start_service: Callable[..., Server], tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    key = file.add(keys, "tester")
    server = start_service(workers=1, api_keys=keys)
    assert requests.get(f"{server.url}/v2", timeout=30).json().keys() == {"error"}
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert not client.is_model_ready("catdog")
        assert client.is_model_ready("catdog", headers={"Authorization": f"Bearer {key}"})


def test_unload_and_load_hold_in_every_worker(start_service: Callable[..., Server], tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.add(store, "1")
    stores.add(store, "2")
    stores.add(store, "1", name="other")
    (store / "catdog" / "serving.json").write_text(json.dumps({"labels": {"stable": "1"}, "versions": "all"}))
    server = start_service(store=store, repository_control="true")

    def ready(version: str) -> int:
        return int(server.metrics().get(f'kiln_model_ready{{model="catdog",version="{version}"}}', 0))

    with triton.InferenceServerClient(server.url.removeprefix("http://")) as client:
        client.unload_model("catdog")
        wait_for(lambda: ready("1") == ready("2") == 0, "both workers to stop serving it", 5)
        assert not client.is_model_ready("catdog")
        assert client.is_model_ready("other")
        states = {entry["name"]: entry for entry in client.get_model_repository_index() if entry.get("version") == "1"}
        assert states["catdog"]["state"] == "UNAVAILABLE"
        assert "Unloaded" in states["catdog"]["reason"]
        assert states["other"]["state"] == "READY"
        # What was unloaded on purpose takes no node out of service.
        assert client.is_server_ready()
        client.load_model("catdog")
        wait_for(lambda: ready("1") == ready("2") == 2, "both workers to serve it again")
        assert client.is_model_ready("catdog")
        client.load_model("catdog")  # once more changes nothing
        with pytest.raises(InferenceServerException, match="Request for unknown model: 'lion' is not found"):
            client.load_model("lion")
        with pytest.raises(InferenceServerException, match="no 'config'"):
            client.load_model("catdog", config="{}")
    assert json.loads((store / "catdog" / "serving.json").read_text()) == {
        "labels": {"stable": "1"},
        "versions": "all",
    }
