"""A node, baked from this checkout and booted with its own systemd: what the image tests look at."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from tests.servers import ROOT, clean_environment, wait_for

BAKE = ROOT / "deploy" / "image" / "bake.sh"
BOOT_SECONDS = 120
PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
# Kept between runs: the stock system and the wheels, which take minutes to fetch.
CACHE = Path(tempfile.gettempdir()) / f"kiln-bake-{os.getuid()}"


def need_root_and(*programs: str) -> None:
    """Skip where this machine cannot make or boot an image."""
    if os.geteuid() != 0:
        pytest.skip("only root can make and boot a machine image")
    if missing := [program for program in programs if shutil.which(program, path=PATH) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    allowed = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "mount", "-t", "tmpfs", "none", "/mnt"])
    if allowed.returncode != 0:
        pytest.skip("no namespaces of one's own here")


def bake(out: Path, *options: str) -> str:
    """Run bake.sh. Returns what it said; skips where no mirror of the distribution can be reached."""
    CACHE.mkdir(mode=0o700, exist_ok=True)
    command = [BAKE, *options, "--out", out, "--cache", CACHE]
    environment = clean_environment() | {"PATH": PATH}
    log = out / "bake.log"
    with log.open("w") as output:
        # A session of its own, so that a test that is cut off takes all of it along.
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            status = process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    said = log.read_text()
    if status != 0 and "bake: no mirror" in said:
        pytest.skip(said.strip().splitlines()[-1])
    assert status == 0, said[-3000:]
    return said


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root file system as `./kiln bake --target rootfs` makes it, never booted."""
    need_root_and("mmdebstrap", "systemd-nspawn", "nsenter", "ip")
    folder = tmp_path_factory.mktemp("bake")
    bake(folder, "--target", "rootfs")
    yield folder / "rootfs"
    shutil.rmtree(folder)


@dataclass
class Node:
    """A booted machine."""

    address: str
    console: Path
    leader: int = 0  # process id of its systemd

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command in the machine."""
        enter = ["nsenter", "--target", str(self.leader), "--all", "--", "env", "-i", "LC_ALL=C.UTF-8"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        done = subprocess.run([*enter, path, *command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done

    def out(self, *command: str) -> str:
        """What a command in the machine says."""
        return self.run(*command).stdout.strip()

    def property(self, unit: str, name: str) -> str:
        """Of a unit of systemd."""
        return self.out("systemctl", "show", "--value", "--property", name, unit)

    def state(self) -> str:
        """Of the whole machine: starting, running, degraded ..."""
        return self.run("systemctl", "is-system-running", check=False).stdout.strip()

    def is_ready(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/ready", timeout=2).status_code == 200
        return False


@contextlib.contextmanager
def network(name: str) -> Iterator[str]:
    """A network of the machine's own, and this machine as its only neighbour. Gives the machine's address."""
    number = os.getpid() % 16384 * 4  # 198.18.0.0/15 is set aside for tests
    ours, theirs = (f"198.18.{(number + i) // 256}.{(number + i) % 256}" for i in (1, 2))
    outer, inner = f"k{os.getpid()}a", f"k{os.getpid()}b"

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as refused:
        pytest.skip(f"no network namespaces here: {refused.stderr.decode().strip()}")
    try:
        ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
        ip("address", "add", f"{ours}/30", "dev", outer)
        ip("link", "set", outer, "up")
        ip("-n", name, "address", "add", f"{theirs}/30", "dev", inner)
        ip("-n", name, "link", "set", inner, "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield theirs
    finally:
        ip("netns", "delete", name)  # the pair of links goes with it
        subprocess.run(["ip", "link", "delete", outer], capture_output=True)


@contextlib.contextmanager
def control_group(name: str) -> Iterator[list[Path]]:
    """A control group of the machine's own, in each hierarchy that systemd may use: two machines must not share one.

    What is left in it at the end is killed.
    """
    hierarchies = [Path("/sys/fs/cgroup", kind) for kind in (".", "systemd", "unified")]
    groups = [folder / name for folder in hierarchies if (folder / "cgroup.procs").exists()]
    for group in groups:
        group.mkdir()
    try:
        yield groups
    finally:
        for group in groups:
            wait_for(lambda group=group: _emptied(group), "the machine's processes to end", 60)


def _emptied(group: Path) -> bool:
    """Kill what is in a control group and those below, and remove them; False where something is still ending."""
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            for pid in Path(folder, "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            Path(folder).rmdir()
    return not group.exists()


@pytest.fixture(scope="session")
def node(rootfs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The root file system, booted. What it writes goes to memory and is gone with it."""
    name = f"kiln-test-{os.getpid()}"
    console = tmp_path_factory.mktemp("node") / "console"
    command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe"]
    command += [f"--machine={name}", f"--directory={rootfs}", "--volatile=overlay", f"--bind-ro={ROOT}:/mnt"]
    with network(name) as address, control_group(name) as groups, console.open("w") as output:
        join = " && ".join(f"echo $$ >{group}/cgroup.procs" for group in groups)
        nspawn = subprocess.Popen(
            ["sh", "-c", f'{join} && exec "$@"', "sh", *command, f"--network-namespace-path=/run/netns/{name}"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        machine = Node(address, console)
        try:

            def ready() -> bool:
                assert nspawn.poll() is None, console.read_text()[-3000:]
                return machine.is_ready()

            wait_for(ready, "the node to be ready", BOOT_SECONDS)
            [systemd] = psutil.Process(nspawn.pid).children()
            machine.leader = systemd.pid
            wait_for(lambda: machine.state() != "starting", "the boot to end", BOOT_SECONDS)
            yield machine
        finally:
            nspawn.kill()  # what is in the machine ends with its control group
            nspawn.wait()
