"""What gunicorn tells systemd, heard by a socket in systemd's place; the units themselves are tests/image's."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests import servers
from tests.servers import ROOT, wait_for

pytestmark = [pytest.mark.server, pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")]


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The end of NOTIFY_SOCKET that systemd has."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(servers.START_SECONDS)
        yield end


@contextlib.contextmanager
def service(
    tmp_path: Path, watchdog: str = "", home: Path = ROOT, **settings: object
) -> Iterator[subprocess.Popen[bytes]]:
    """gunicorn on a socket that it inherits, as kiln.service starts it. Port 0 of loopback in kiln.sock's place."""
    environment = _environment(tmp_path, settings) | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    if watchdog:
        environment["WATCHDOG_USEC"] = watchdog
    with servers.running(servers.GUNICORN, tmp_path / "log", cwd=home, env=environment) as process:
        yield process


def reload(tmp_path: Path, master: int, home: Path = ROOT, **settings: object) -> subprocess.CompletedProcess[str]:
    """What `systemctl reload kiln` starts."""
    environment = _environment(tmp_path, settings) | {"MAINPID": str(master)}
    command = [sys.executable, "deploy/reload.py"]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)


def _environment(tmp_path: Path, settings: dict[str, object]) -> dict[str, str]:
    environment = servers.clean_environment(**{"workers": 1, "bind": "127.0.0.1:0", **settings})
    return environment | {"RUNTIME_DIRECTORY": str(tmp_path)}


def heard(systemd: socket.socket) -> dict[str, str]:
    """The next message."""
    return dict(line.split("=", 1) for line in systemd.recv(4096).decode().splitlines())


def test_ready_is_said_when_a_worker_answers_and_not_before(tmp_path: Path, systemd: socket.socket) -> None:
    with service(tmp_path):
        assert heard(systemd) == {"READY": "1", "WATCHDOG": "1", "STATUS": "ready: catdog/1"}
    log = (tmp_path / "log").read_text()
    assert "catdog version 1: AVAILABLE" in log


def test_a_service_that_has_no_model_says_so(tmp_path: Path, systemd: socket.socket) -> None:
    """It runs: it answers why it is not ready, and a load balancer stays away."""
    (tmp_path / "store").mkdir()
    with service(tmp_path, store=tmp_path / "store"):
        message = heard(systemd)
    assert message["READY"] == "1"
    assert message["STATUS"].startswith("not ready: ")
    assert "holds no versions" in message["STATUS"]


def test_the_watchdog_is_fed_while_the_service_answers(tmp_path: Path, systemd: socket.socket) -> None:
    with service(tmp_path, watchdog="400000") as master:
        for _ in range(3):
            assert heard(systemd)["WATCHDOG"] == "1"
        children = psutil.Process(master.pid).children()
        [worker] = [child for child in children if "notify.py" not in " ".join(child.cmdline())]
        worker.send_signal(signal.SIGSTOP)
        systemd.settimeout(2)
        with contextlib.suppress(TimeoutError):
            heard(systemd)  # one answer may have been on its way
        with pytest.raises(TimeoutError):
            heard(systemd)
        worker.send_signal(signal.SIGCONT)
        systemd.settimeout(servers.START_SECONDS)
        assert heard(systemd)["WATCHDOG"] == "1"


def test_the_process_that_watches_ends_with_the_master_however_that_ends(
    tmp_path: Path, systemd: socket.socket
) -> None:
    with service(tmp_path) as master:
        heard(systemd)
        everyone = psutil.Process(master.pid).children()
        [watcher] = [child for child in everyone if "notify.py" in " ".join(child.cmdline())]
        master.kill()
        wait_for(lambda: not watcher.is_running(), "the watcher to end")
        for worker in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()


def test_reload_hands_new_settings_over(tmp_path: Path, systemd: socket.socket) -> None:
    def most_images() -> int:
        [listening] = [c for c in psutil.Process(master.pid).net_connections() if c.status == psutil.CONN_LISTEN]
        document = requests.get(f"http://127.0.0.1:{listening.laddr.port}/openapi.json", timeout=10).text
        return int(document.partition('"maxItems":')[2].partition(",")[0].partition("}")[0])

    with service(tmp_path, max_images=5) as master:
        heard(systemd)
        assert most_images() == 5
        assert reload(tmp_path, master.pid, max_images=6).returncode == 0
        assert most_images() == 6  # when it returns, the old workers are gone
        refused = reload(tmp_path, master.pid, max_images="many", port=0)
        assert refused.returncode == 1
        assert "KILN_MAX_IMAGES" in refused.stderr
        assert "KILN_PORT" in refused.stderr
        for settings, word in (
            ({"store": tmp_path / "nowhere"}, "holds no versions"),
            ({"model": "pets"}, "Model pets would not answer"),
            ({"bind": "127.0.0.1:1"}, "restart"),
        ):
            refused = reload(tmp_path, master.pid, **settings)
            assert refused.returncode == 1, settings
            assert word in refused.stderr
        assert most_images() == 6
        assert reload(tmp_path, master.pid).returncode == 0
        assert most_images() == 16  # one that is taken out again has its default
        assert json.loads((tmp_path / "environment.json").read_text()).keys() == {"KILN_WORKERS", "KILN_BIND"}


def copied(home: Path) -> Path:
    """Code of its own, to be changed."""
    home.mkdir()
    for name in ("app", "deploy", "model"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "api.py", home)
    return home


def test_a_worker_that_starts_later_mixes_no_code(tmp_path: Path, systemd: socket.socket) -> None:
    """Its master imported some of it before; one half would not fit the other."""
    home = copied(tmp_path / "home")
    with service(tmp_path, home=home) as master:
        assert heard(systemd)["STATUS"] == "ready: catdog/1"
        for file, line in (("app/settings.py", "NEW = 1"), ("app/routes.py", "from .settings import NEW")):
            (home / file).write_text(f"{(home / file).read_text()}\n{line}\n")
        [before] = workers_of(master)
        before.kill()
        [after] = wait_for(lambda: [one for one in workers_of(master) if one != before], "another worker")
        [listening] = [c for c in psutil.Process(master.pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert requests.get(f"http://127.0.0.1:{listening.laddr.port}/ready", timeout=10).status_code == 200
        assert workers_of(master) == [after]


def workers_of(master: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Not what tells systemd that they live."""
    found = []
    for child in psutil.Process(master.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and "notify.py" not in " ".join(child.cmdline()):
                found.append(child)
    return found


def test_a_reload_refuses_code_that_does_not_start(tmp_path: Path, systemd: socket.socket) -> None:
    """gunicorn by itself would end, with all workers."""
    home = copied(tmp_path / "home")
    with service(tmp_path, home=home) as master:
        assert heard(systemd)["STATUS"] == "ready: catdog/1"
        workers = psutil.Process(master.pid).children()
        conf = "deploy/gunicorn.conf.py"
        for file, wrong, said in (
            ("app/routes.py", "this is no Python", "SyntaxError"),
            (conf, "this is no Python", "SyntaxError"),
            (conf, "raise RuntimeError('boom')", "RuntimeError: boom"),
            (conf, "workers = nobody_knows", "NameError"),
            (conf, "import no_such_library", "no_such_library"),
            (conf, "workers = 'many'", "Invalid value for workers"),
            (conf, "worker_class = 'deploy.nowhere.Worker'", "No module named 'deploy.nowhere'"),
        ):
            code = (home / file).read_text()
            (home / file).write_text(f"{code}\n{wrong}\n")
            refused = reload(tmp_path, master.pid, home=home)
            assert refused.returncode == 1, wrong
            assert "nothing was reloaded" in refused.stderr
            assert said in refused.stderr
            (home / file).write_text(code)
        assert psutil.Process(master.pid).children() == workers
        assert reload(tmp_path, master.pid, home=home).returncode == 0
        assert psutil.Process(master.pid).children() != workers


def test_a_trial_leaves_nothing_behind_and_reads_nothing_of_an_earlier_reload(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"KILN_PORT": "many"}')
    environment = _environment(tmp_path, {})
    command = [sys.executable, "deploy/trial.py"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as trial:
        _, said = trial.communicate()
    assert trial.returncode == 0, said
    for place in ("/dev/shm", tempfile.gettempdir()):
        assert not list(Path(place).glob(f"kiln-metrics-{trial.pid}-*"))


def test_a_service_that_is_not_ready_may_be_reloaded_without_being_so_after_it(
    tmp_path: Path, systemd: socket.socket
) -> None:
    (tmp_path / "store").mkdir()
    bind = f"unix:{tmp_path}/kiln.sock"
    with service(tmp_path, store=tmp_path / "store", bind=bind) as master:
        assert heard(systemd)["STATUS"].startswith("not ready: ")
        assert reload(tmp_path, master.pid, store=tmp_path / "store", bind=bind, max_images=6).returncode == 0
