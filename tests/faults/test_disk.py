"""The disk under a service that runs: full, damaged, gone."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import requests

from tests import servers, stores
from tests.faults.disks import fill, small_disk
from tests.faults.traffic import traffic
from tests.servers import Server, assert_error, wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="mounts")]

Figure = Callable[[str, object], None]


def states(base: Server) -> set[tuple[str, str]]:
    models = requests.get(f"{base.url}/version", timeout=10).json()["models"]
    return {(model["version"], model["state"]) for model in models}


# --- The store ------------------------------------------------------------------------------------------------------


def overwrite(folder: Path) -> None:
    """In place, as a bad disk or a bad copy does."""
    with (folder / "model.tflite").open("r+b") as file:
        file.write(os.urandom(100_000))


def truncate(folder: Path) -> None:
    """A process that had mapped the file would die of it."""
    for file in folder.iterdir():
        os.truncate(file, 0)


def remove(folder: Path) -> None:
    """The whole store at once, as when a disk goes: a look in the midst of rmtree would see a version removed."""
    store = folder.parents[1]
    gone = store.rename(store.with_name("gone"))
    shutil.rmtree(gone)


DAMAGES = {
    overwrite: "The build loaded before stays",
    truncate: "The build loaded before stays",
    remove: "cannot be read",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_the_store_breaks_under_a_service(
    tmp_path: Path, start_service: Callable[..., Server], photo: bytes, damage: Callable[[Path], None], figure: Figure
) -> None:
    folder = stores.add(tmp_path / "store", "1")
    base = start_service(store=tmp_path / "store")
    before = base.workers()
    expected = requests.post(f"{base.url}/predict", data=photo, timeout=10).json()["predictions"]
    with traffic(base.port, photo) as load:
        load.more(20)
        damage(folder)
        wait_for(lambda: base.log.read_text().count(DAMAGES[damage]) >= 2, "both workers to see it")
        load.more(100)
    assert set(load.outcomes) == {200}
    assert requests.post(f"{base.url}/predict", data=photo, timeout=10).json()["predictions"] == expected
    assert base.workers() == before
    figure(f"{damage.__name__} the store's files while they serve", load)


def test_a_store_that_is_gone_comes_back(tmp_path: Path, start_service: Callable[..., Server], photo: bytes) -> None:
    """A worker that starts meanwhile has no model and says so; it loads as soon as there is one."""
    store, hidden = tmp_path / "store", tmp_path / "hidden"
    stores.add(store, "1")
    base = start_service(store=store, workers=1)
    store.rename(hidden)
    [victim] = base.workers()
    psutil.Process(victim).kill()
    wait_for(lambda: base.workers() not in ([victim], []), "a new worker")
    assert_error(requests.get(f"{base.url}/ready", timeout=10), 503, "not_ready")
    assert_error(requests.post(f"{base.url}/predict", data=photo, timeout=10), 503, "model_not_ready")
    hidden.rename(store)
    wait_for(lambda: requests.get(f"{base.url}/ready", timeout=10).status_code == 200, "the model")
    assert requests.post(f"{base.url}/predict", data=photo, timeout=10).status_code == 200


def test_the_stores_disk_is_full(
    tmp_path: Path, start_service: Callable[..., Server], photo: bytes, figure: Figure
) -> None:
    """A new version that does not fit is never served, and taken once it is whole."""
    size = sum(file.stat().st_size for file in stores.SHIPPED.iterdir())
    with small_disk(tmp_path / "store", int(1.8 * size)) as store:
        stores.add(store, "1")
        source = stores.prepared(tmp_path / "source", "2")
        base = start_service(store=store)
        with traffic(base.port, photo) as load:
            with pytest.raises(shutil.Error, match="No space left"):
                shutil.copytree(source, store / "catdog" / "2")
            load.more(50)
            assert ("2", "AVAILABLE") not in states(base)
            assert requests.get(f"{base.url}/ready", timeout=10).status_code == 200
            (store / "catdog" / "1" / "model.keras").unlink()  # the source; what serves is the compiled file
            shutil.copytree(source, store / "catdog" / "2", dirs_exist_ok=True)
            wait_for(lambda: ("2", "AVAILABLE") in states(base), "the whole version")
            load.more(50)
        figure("store full while a version is copied into it", load)
    assert set(load.outcomes) == {200}


# --- Logs and uploads -----------------------------------------------------------------------------------------------


def test_nowhere_to_log(photo: bytes, figure: Figure) -> None:
    """Every line to the log fails with "No space left on device", from the first one on."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-c", servers.SYSTEMD, str(listener.fileno()), *servers.GUNICORN]
        environment = servers.clean_environment(workers=2, deadline=60, access_log="true")
        inherited = {"cwd": servers.ROOT, "env": environment, "pass_fds": [listener.fileno()]}
        with servers.running(command, Path("/dev/full"), **inherited) as process:
            base = Server(f"http://127.0.0.1:{port}", port, process, Path("/dev/full"))
            with traffic(port, photo) as load:
                load.more(50)
                before = base.workers()
                psutil.Process(before[0]).kill()
                wait_for(lambda: len(now := base.workers()) == 2 and now != before, "a new worker")
                load.more(50)
            process.terminate()
            assert process.wait(30) == 0
    assert load.failed() <= 4  # each client lost one at most with the worker that was killed
    figure("nowhere to log, a worker killed meanwhile", load)


def test_no_room_for_uploads(tmp_path: Path, photo: bytes, figure: Figure) -> None:
    """Only bodies that nginx does not keep in memory fail; they are told, and work again when there is room."""
    large = photo + bytes(2_000_000)
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "body", 4_000_000))
        base = stack.enter_context(servers.behind_nginx(tmp_path))
        assert requests.post(f"{base.url}/predict", data=large, timeout=10).status_code == 200
        filler = fill(disk)
        with traffic(base.port, photo) as load:
            load.more(20)
            for _ in range(10):
                assert_error(requests.post(f"{base.url}/predict", data=large, timeout=10), 500, "internal_error")
            load.more(20)
        filler.unlink()
        assert requests.post(f"{base.url}/predict", data=large, timeout=10).status_code == 200
    assert set(load.outcomes) == {200}
    figure("no room for uploads behind nginx, photos of 22 KB meanwhile", load)


def test_shared_memory_is_full(start_service: Callable[..., Server], photo: bytes, figure: Figure) -> None:
    """Where metrics and heartbeats are."""
    if os.geteuid():
        pytest.skip("needs root, to mount a small file system")
    own = 'mount -t tmpfs -o size=2m tmpfs /dev/shm && exec "$@"'
    base = start_service(command=["unshare", "--mount", "sh", "-c", own, "sh", *servers.GUNICORN])
    before = base.workers()
    shared = Path(f"/proc/{base.process.pid}/root/dev/shm")
    for slot in (0, 1):
        wait_for(lambda: taken(shared, slot), "a worker that has its memory")  # noqa: B023
    filler = fill(shared)
    with traffic(base.port, photo) as load:
        load.more(100)
        for path in ("/live", "/models", "/version", "/metrics", "/nowhere", "/openapi.json", "/"):
            assert requests.get(base.url + path, timeout=10).status_code in (200, 404)
        psutil.Process(before[0]).kill()
        load.more(100)
        filler.unlink()
        wait_for(lambda: len(base.workers()) == 2, "all workers", 60)
        load.more(100)
    figure("/dev/shm full, a worker killed meanwhile", load)
    assert load.failed() <= 4
    assert before[1] in base.workers()


def taken(shared: Path, slot: int) -> bool:
    """Whether the files of a worker's metrics have all the memory that they will need."""
    files = [file.stat() for file in shared.glob(f"*/*_{slot}.db")]
    return bool(files) and all(file.st_blocks * 512 >= file.st_size for file in files)
