"""slowhttptest against the service, without and with nginx: whoever is quick is served all the while."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests import servers
from tests.faults.traffic import traffic
from tests.servers import Server, wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

SECONDS = 12  # of attack
ENOUGH = 100  # connections at a time; of the slow ones nginx closes those over its limit for a client
ATTACKS = {
    "heads that trickle (slowloris)": ["-H", "-i", "1", "-x", "24"],
    "bodies that trickle (R.U.D.Y.)": ["-B", "-t", "POST", "-i", "1", "-s", "8192", "-x", "10"],
    "answers read slowly": ["-X", "-w", "8", "-y", "16", "-n", "1", "-z", "8", "-k", "10"],
}

Figure = Callable[[str, object], None]


@contextlib.contextmanager
def slowhttptest(folder: Path, url: str, arguments: list[str], connections: int) -> Iterator[None]:
    """The attack runs for as long as the block, or SECONDS."""
    program = shutil.which("slowhttptest")
    if program is None:
        pytest.skip("slowhttptest is not installed: apt-get install slowhttptest")
    common = ["-c", str(connections), "-r", str(connections), "-l", str(SECONDS), "-p", "2", "-u", url]
    with (folder / "slowhttptest.log").open("wb") as log:
        process = subprocess.Popen([program, *arguments, *common], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("way", ["direct", "nginx"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_slow_clients_keep_nobody_from_being_served(
    tmp_path: Path, photo: bytes, figure: Figure, way: str, attack: str
) -> None:
    connections = 1000 if way == "nginx" else 200
    with (servers.behind_nginx if way == "nginx" else servers.gunicorn)(tmp_path) as base:
        before = base.workers()
        url = f"{base.url}/openapi.json" if "read" in attack else f"{base.url}/predict"
        with slowhttptest(tmp_path, url, ATTACKS[attack], connections):
            wait_for(lambda: established(base) >= ENOUGH, "the attack", 10)
            with traffic(base.port, photo, keep=False) as load:
                load.more(200)
        assert set(load.outcomes) == {200}
        assert base.workers() == before
        assert requests.get(f"{base.url}/ready", timeout=10).status_code == 200
    figure(f"{connections} connections, {attack}, {way}", load)


def established(base: Server) -> int:
    """Connections to the port, whether or not they have been accepted."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(f":{base.port:04X}") and line[3] == "01" for line in lines)
