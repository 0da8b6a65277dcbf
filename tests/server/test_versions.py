"""Versions come, switch and go under requests: none fails, every worker follows, and nobody restarts anything."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tests import stores
from tests.servers import ROOT, Server, wait_for

pytestmark = pytest.mark.server

FILES = ("model.tflite", "bundle.json", "model.keras", "golden.npz")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    stores.add(tmp_path / "store", "1")
    return tmp_path / "store"


def ready(base: Server, version: str, name: str = "catdog") -> int:
    """In how many workers a version is AVAILABLE."""
    return int(base.metrics().get(f'kiln_model_ready{{model="{name}",version="{version}"}}', 0))


def wait_for_versions(base: Server, *, loaded: str, gone: str = "") -> None:
    wait_for(lambda: ready(base, loaded) == 2, f"version {loaded} in both workers; see {base.log}")
    if gone:
        wait_for(lambda: ready(base, gone) == 0, f"version {gone} to be unloaded; see {base.log}")


def kiln_models(store: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "model.cli", *arguments, "--store", str(store)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


@dataclass
class Traffic:
    """Clients that post one picture after the other, each on a new connection, so that every worker gets some."""

    url: str
    photo: bytes
    clients: int = 1
    versions: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def ask(self, **query: str) -> str:
        """The version that answered."""
        answer = requests.post(self.url, data=self.photo, params=query, timeout=30)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        version: str = body["model"]["version"]
        labels = {entry["label"] for entry in body["predictions"][0]["top"]}
        assert labels == {f"v{version}", "other"}, body
        return version

    def post_until(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.versions.append(self.ask())
            except Exception as failure:
                self.failures.append(repr(failure))

    def more(self, count: int = 10) -> list[str]:
        """The versions of the next answers to requests that are yet to be sent."""
        first = len(self.versions) + self.clients  # each may have one under way
        wait_for(lambda: self.failures or len(self.versions) >= first + count, "answers")
        assert self.failures == []
        return self.versions[first:]


@contextlib.contextmanager
def traffic(base: Server, photo: bytes, clients: int = 2) -> Iterator[Traffic]:
    """No request may fail as long as this lasts."""
    found, stop = Traffic(f"{base.url}/predict", photo, clients), threading.Event()
    threads = [threading.Thread(target=found.post_until, args=(stop,)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        found.more()
        yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert found.failures == []


def test_versions_switch_under_requests(start_service: Callable[..., Server], store: Path, photo: bytes) -> None:
    base = start_service(store=store)
    workers = base.workers()
    with traffic(base, photo) as clients:
        # Copied slowly, in an order that nobody would choose.
        source = stores.prepared(store / ".source", "2")
        (store / "catdog" / "2").mkdir()
        for name in FILES:
            data = (source / name).read_bytes()
            for part in (data[: len(data) // 2], data[len(data) // 2 :]):
                assert set(clients.more()) == {"1"}
                with (store / "catdog" / "2" / name).open("ab") as file:
                    file.write(part)
        wait_for_versions(base, loaded="2", gone="1")
        assert set(clients.more(20)) == {"2"}

        for number, other in (("1", ""), ("2", "1"), ("1", "")):
            kiln_models(store, "use", "catdog", number)
            wait_for_versions(base, loaded=number, gone=other)
            wait_for(lambda number=number: set(clients.more()) == {number}, f"version {number} alone to answer")

        stores.add(store, "3", damage=stores.corrupt)
        stores.add(store, "4", damage=stores.lie)
        wait_for(lambda: base.log.read_text().count("golden answers differ") == 2, "both workers to refuse version 4")
        wait_for(lambda: base.log.read_text().count("checksum differs") == 2, "both workers to refuse version 3")
        kiln_models(store, "remove", "catdog", "1", "--force")
        wait_for_versions(base, loaded="2", gone="1")
        assert set(clients.more(20)) == {"2"}
    assert base.workers() == workers
    assert set(clients.versions) == {"1", "2"}

    def states() -> dict[str, str]:
        models = requests.get(f"{base.url}/version", timeout=10).json()["models"]
        return {entry["version"]: entry["state"] for entry in models}

    # A worker whose last request with version 1 was still under way sees at its next look that it is over.
    wait_for(lambda: states() == {"2": "AVAILABLE", "3": "END", "4": "END"}, "version 1 to be gone")
    assert requests.get(f"{base.url}/ready", timeout=10).status_code == 200


def test_a_version_that_is_damaged_or_replaced_while_it_serves(
    start_service: Callable[..., Server], store: Path, photo: bytes
) -> None:
    base = start_service(store=store)
    folder = store / "catdog" / "1"
    with traffic(base, photo) as clients:
        for name in FILES:
            (folder / name).write_bytes(b"")  # a mapped file would end the worker here
        wait_for(lambda: base.log.read_text().count("The build loaded before stays") >= 2, "both workers to see it")
        clients.more()
        whole = stores.prepared(store / ".whole", "1")
        stores.edit(whole, lambda data: data.update(labels=["v1", "other"], built={"again": True}))
        for name in FILES:
            (folder / name).write_bytes((whole / name).read_bytes())
        wait_for(lambda: base.log.read_text().count('version 1: AVAILABLE"') >= 4, "the new build in both workers")
        clients.more()


def test_a_worker_that_starts_beside_a_broken_newest_version(
    start_service: Callable[..., Server], store: Path, photo: bytes
) -> None:
    stores.corrupt(stores.add(store, "2"))
    base = start_service(store=store)
    clients = Traffic(f"{base.url}/predict", photo)
    assert {clients.ask() for _ in range(10)} == {"1"}
    before = set(base.workers())
    base.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(now := base.workers()) == 2 and not before & set(now), "all workers anew")
    wait_for_versions(base, loaded="1")
    assert {clients.ask() for _ in range(10)} == {"1"}


def test_a_new_model_and_a_broken_one_leave_the_service_ready(
    start_service: Callable[..., Server], store: Path, photo: bytes
) -> None:
    base = start_service(store=store)
    with traffic(base, photo) as clients:
        stores.add(store, "7", name="pets")
        stores.add(store, "1", name="lions", damage=stores.corrupt)
        wait_for(lambda: ready(base, "7", "pets") == 2, "the new model in both workers")
        wait_for(lambda: base.log.read_text().count("model lions version 1: END") == 2, "the broken one to be refused")
        for _ in range(10):
            assert requests.get(f"{base.url}/ready", timeout=10).status_code == 200
        clients.more()


def test_a_broken_serving_file_is_told_and_not_obeyed(
    start_service: Callable[..., Server], store: Path, photo: bytes
) -> None:
    base = start_service(store=store)
    with traffic(base, photo) as clients:
        (store / "catdog" / "serving.json").write_text(json.dumps({"labels": {"stable": 7}, "split": {"x": 5}}))
        wait_for(
            lambda: base.log.read_text().count("label 'stable' must name a version") == 2, "both workers to refuse"
        )
        assert set(clients.more()) == {"1"}
