"""Start, readiness, loss of a worker, reload and end, with the configuration that ships."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from loadtest.processes import free_port
from tests import servers
from tests.servers import ROOT, Server, assert_error, connect, post_head, read_answer, wait_for

pytestmark = pytest.mark.server

ENGINES = ("ai_edge_litert", "tensorflow", "keras", "torch", "onnxruntime")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of the shipped store, to be damaged."""
    return Path(shutil.copytree(ROOT / "model" / "store", tmp_path / "store"))


def bundle_of(store: Path) -> Path:
    [folder] = (store / "catdog").iterdir()
    return folder


def other_bytes(store: Path) -> None:
    """A file that is not the one recorded: what the checksum is for."""
    file = bundle_of(store) / "model.tflite"
    file.write_bytes(file.read_bytes()[:-1] + b"?")


def other_checksum(store: Path) -> None:
    """The manifest is wrong, the file is right."""
    manifest = bundle_of(store) / "bundle.json"
    data = json.loads(manifest.read_text())
    data["engines"]["litert"]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(data))


def cut_off(store: Path) -> None:
    """A copy that was interrupted."""
    file = bundle_of(store) / "golden.npz"
    file.write_bytes(file.read_bytes()[:1000])


def no_manifest(store: Path) -> None:
    (bundle_of(store) / "bundle.json").unlink()


def broken_manifest(store: Path) -> None:
    (bundle_of(store) / "bundle.json").write_text('{"format": 1, "name":')


def no_store(store: Path) -> None:
    shutil.rmtree(store)


DAMAGES = {
    other_bytes: "checksum",
    other_checksum: "checksum",
    cut_off: "golden.npz",
    no_manifest: "bundle.json is missing",
    broken_manifest: "bundle.json cannot be read",
    no_store: "holds no versions",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_model_that_is_not_proven_is_not_served(
    start_service: Callable[..., Server], store: Path, photo: bytes, damage: Callable[[Path], None]
) -> None:
    damage(store)
    base = start_service(workers=1, store=store, up="/live")
    ready = requests.get(f"{base.url}/ready", timeout=10)
    message = assert_error(ready, 503, "not_ready")["message"]
    assert DAMAGES[damage] in message
    assert str(store) not in message
    assert int(ready.headers["Retry-After"]) > 0
    answer = requests.post(f"{base.url}/predict", data=photo, timeout=10)
    assert_error(answer, 503, "model_not_ready")
    if damage in (other_bytes, other_checksum, no_store):  # the others may be copies that are under way, for a while
        levels = [
            line["level"] for line in map(json.loads, base.log.read_text().splitlines()) if "END: " in line["message"]
        ]
        assert levels == ["warning" if damage is no_store else "error"]
    assert int(answer.headers["Retry-After"]) > 0
    assert requests.get(f"{base.url}/", timeout=10).status_code == 200
    assert requests.get(f"{base.url}/openapi.json", timeout=10).status_code == 200
    [model] = requests.get(f"{base.url}/version", timeout=10).json()["models"]
    assert model["state"] in ("START", "END")  # the former while its files may still be coming
    assert base.metrics()[f'kiln_model_ready{{model="catdog",version="{model["version"]}"}}'] == 0


def test_ready_once_repaired_and_reloaded(start_service: Callable[..., Server], store: Path, photo: bytes) -> None:
    hidden = store.with_name("elsewhere")
    store.rename(hidden)
    base = start_service(workers=1, store=store, up="/live")
    assert_error(requests.get(f"{base.url}/ready", timeout=10), 503, "not_ready")
    hidden.rename(store)
    base.process.send_signal(signal.SIGHUP)
    wait_for(lambda: requests.get(f"{base.url}/ready", timeout=10).status_code == 200, "the repaired model")
    assert requests.post(f"{base.url}/predict", data=photo, timeout=10).status_code == 200


def test_live_answers_while_the_model_loads(start_service: Callable[..., Server]) -> None:
    """load_wait=0: the worker listens at once, and tells the truth about its model until it is there."""
    base = start_service(workers=1, load_wait=0, up="/live")
    statuses = {wait_for(lambda: requests.get(f"{base.url}/ready", timeout=10).status_code, "an answer")}
    wait_for(lambda: requests.get(f"{base.url}/ready", timeout=10).status_code == 200, "the model")
    assert statuses <= {200, 503}


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_an_ipv6_address_is_listened_on(tmp_path: Path, photo: bytes) -> None:
    with servers.gunicorn(tmp_path, bind="", host="::1", port=free_port(), workers=1) as base:
        assert base.url.startswith("http://[::1]:")
        assert requests.post(f"{base.url}/predict", data=photo, timeout=10).status_code == 200


@contextlib.contextmanager
def traffic(base: Server, photo: bytes, clients: int = 2, *, keep: bool = False) -> Iterator[list[int | str]]:
    """Clients that post one picture after the other, each on a new connection, or on one that it keeps. Gives statuses
    and failures."""
    outcomes: list[int | str] = []
    stop = threading.Event()

    def client() -> None:
        kept = requests.Session()
        while not stop.is_set():
            try:
                post = kept.post if keep else requests.post
                outcomes.append(post(f"{base.url}/predict", data=photo, timeout=30).status_code)
            except requests.RequestException as lost:
                outcomes.append(repr(lost))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: len(outcomes) >= clients, "the first answers")
        yield outcomes
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_killed_worker_is_replaced(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service()
    victim, survivor = base.workers()
    psutil.Process(victim).kill()
    wait_for(lambda: len(new := base.workers()) == 2 and victim not in new, "a new worker")
    assert survivor in base.workers()
    for _ in range(20):
        assert requests.post(f"{base.url}/predict", data=photo, timeout=10).status_code == 200
    assert base.process.poll() is None


def connections_even_out(base: Server, backend: Server, photo: bytes) -> None:
    """A worker that comes while another holds all clients gets some of them, also where all keep their connections.

    nginx opens each anew after 1,000 requests; so long it must not take.
    """
    [alone] = backend.workers()
    path = backend.url.removeprefix("unix:")

    def held(worker: int) -> int:
        links = psutil.Process(worker).net_connections("all")
        return sum(link.laddr == path or link.status == psutil.CONN_ESTABLISHED for link in links)

    with traffic(base, photo, clients=8, keep=True) as outcomes:
        psutil.Process(backend.process.pid).send_signal(signal.SIGTTIN)
        wait_for(lambda: len(backend.workers()) == 2, "a second worker")
        [new] = set(backend.workers()) - {alone}
        before = len(outcomes)
        wait_for(lambda: held(new) >= 3, "connections of the second worker")
        count = len(outcomes)
        assert count < before + 4000
        wait_for(lambda: len(outcomes) > count + 10, "answers of both")
    assert set(outcomes) == {200}


def test_kept_connections_even_out(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service(workers=1)
    connections_even_out(base, base, photo)


def test_connections_that_nginx_keeps_even_out(tmp_path: Path, photo: bytes) -> None:
    with servers.behind_nginx(tmp_path, workers=1) as base:
        assert base.backend is not None
        connections_even_out(base, base.backend, photo)


def reload_under_traffic(base: Server, master: int, photo: bytes) -> None:
    before = set(base.workers())
    with traffic(base, photo) as outcomes:
        psutil.Process(master).send_signal(signal.SIGHUP)
        wait_for(lambda: len(now := base.workers()) == 2 and not before & set(now), "all workers anew")
        count = len(outcomes)
        wait_for(lambda: len(outcomes) > count + 10, "answers of the new workers")
    assert set(outcomes) == {200}


def test_reload_loses_no_request(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service()
    reload_under_traffic(base, base.process.pid, photo)


def test_reload_behind_nginx_loses_no_request(tmp_path: Path, photo: bytes) -> None:
    with servers.behind_nginx(tmp_path) as base:
        assert base.backend is not None
        reload_under_traffic(base, base.backend.process.pid, photo)


def test_term_answers_what_has_begun_and_leaves_nothing(start_service: Callable[..., Server], photo: bytes) -> None:
    base = start_service()
    everyone = [psutil.Process(base.process.pid), *map(psutil.Process, base.workers())]
    folder = base.metrics_folder()
    assert folder.is_dir()
    with connect(base.url) as connection:
        connection.sendall(post_head("/predict", f"Content-Length: {len(photo)}") + photo[:1000])
        # Connections are taken in the order in which they came: once this one is answered, ours is with a worker.
        requests.get(f"{base.url}/live", timeout=10)
        base.process.terminate()
        wait_for(lambda: "Handling signal: term" in base.log.read_text(), "the signal to arrive")
        connection.sendall(photo[1000:])
        answer = read_answer(connection)
    assert answer is not None
    assert answer.status_code == 200
    assert base.process.wait(25) == 0
    wait_for(lambda: not any(process.is_running() for process in everyone), "all processes to end")
    assert not folder.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{base.url}/live", timeout=10)


def test_term_answers_those_behind_clients_that_left(start_service: Callable[..., Server]) -> None:
    """A load balancer's checks of the port open connections and close them; others wait behind these to be accepted."""
    base = start_service(workers=1)
    [worker] = map(psutil.Process, base.workers())
    worker.suspend()
    try:
        for _ in range(3):
            connect(base.url).close()
        with contextlib.ExitStack() as waiting:
            clients = [waiting.enter_context(connect(base.url)) for _ in range(3)]
            for client in clients:
                client.sendall(b"GET /live HTTP/1.1\r\nHost: kiln\r\n\r\n")
            base.process.terminate()
            wait_for(
                lambda: not psutil.Process(base.process.pid).net_connections("tcp"), "the master to listen no more"
            )
            worker.resume()
            for client in clients:
                answer = read_answer(client)
                assert answer is not None
                assert answer.status_code == 200
    finally:
        worker.resume()


def test_term_does_not_wait_for_silent_clients(start_service: Callable[..., Server]) -> None:
    """Browsers open connections in advance; one kept open from an earlier request is no different."""
    base = start_service(workers=1)
    with connect(base.url), connect(base.url) as used:
        used.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(used) is not None
        time.sleep(0.2)  # nothing shows when the silent one has been set aside
        base.process.terminate()
        assert base.process.wait(25) == 0


def test_term_reaches_a_worker_that_is_just_forked(tmp_path: Path) -> None:
    """It has its master's handlers then, which do nothing in it."""
    conf = tmp_path / "slow_birth.conf.py"
    shipped = ROOT / "deploy" / "gunicorn.conf.py"
    conf.write_text(
        f"__file__ = {str(shipped)!r}\n{shipped.read_text()}\n\n"
        "def post_fork(server, worker):\n"
        "    import time\n"
        "    server.log.info('being born')\n"
        "    end = time.monotonic() + 60\n"
        "    while time.monotonic() < end:\n"
        "        time.sleep(0.1)\n"
    )
    log = tmp_path / "log"
    environment = servers.clean_environment(bind="127.0.0.1:0", workers=2)
    command = [sys.executable, "-m", "gunicorn", "--config", str(conf)]
    with servers.running(command, log, cwd=ROOT, env=environment) as process:
        wait_for(lambda: log.exists() and log.read_text().count("being born") == 2, "two workers")
        workers = psutil.Process(process.pid).children()
        process.terminate()
        assert process.wait(20) == 0  # its patience with workers is 30 s
        wait_for(lambda: not any(worker.is_running() for worker in workers), "the workers to end")


def test_wrong_settings_end_the_start_and_name_every_problem(tmp_path: Path) -> None:
    log = tmp_path / "log"
    environment = servers.clean_environment(port="x", workers=-1, colour="red")
    with servers.running(servers.GUNICORN, log, cwd=ROOT, env=environment) as process:
        assert process.wait(30) != 0
    for name in ("KILN_PORT", "KILN_WORKERS", "KILN_COLOUR"):
        assert name in log.read_text()


@pytest.mark.parametrize(
    "program", [(sys.executable, "-m", "gunicorn"), (str(Path(sys.executable).with_name("gunicorn")),)]
)
def test_the_plain_command_works(tmp_path: Path, photo: bytes, program: tuple[str, ...]) -> None:
    """As written in every guide, from the root of the checkout, with nothing set."""
    command = [*program, "--workers", "1", "--timeout", "300", "--bind", "127.0.0.1:0", "api:app"]
    with servers.gunicorn(tmp_path, command=command, workers=1) as base:
        answer = requests.post(f"{base.url}/predict", files={"image": photo}, timeout=10)
        assert answer.status_code == 200
        assert base.metrics()["kiln_images_total"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_master_loads_no_engine(service: Server) -> None:
    def engines(process: int) -> set[str]:
        maps = Path(f"/proc/{process}/maps").read_text()
        return {name for name in ENGINES if f"/{name}/" in maps}

    assert engines(service.process.pid) == set()
    assert all(engines(worker) == {"ai_edge_litert"} for worker in service.workers())
