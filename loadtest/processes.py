"""Start programs for a measurement and end every one of them, whatever happens in between."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
_GRACE = 10.0  # seconds from SIGTERM to SIGKILL
_MARK = "LOADTEST_PROGRAM"  # an environment variable, which what a program starts inherits


class Failed(RuntimeError):
    """A program did not do what it was started for."""


class Program:
    """A program in a process group of its own (not a session: a scheduler may share the CPU out by session)."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, *, pipes: bool) -> None:
        self._command = " ".join(command)
        self._mark = uuid.uuid4().hex
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed in stop()
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, _MARK: self._mark},
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else self._log,
            stderr=self._log,
            process_group=0,
            text=True,
        )

    def check(self) -> None:
        """Raises Failed, with the end of its log, when it has ended."""
        if self.process.poll() is not None:
            raise Failed(f"{self._command} ended with {self.process.returncode}:\n{self.log()[-2000:]}")

    def log(self) -> str:
        """What it has written so far."""
        file = self._log.fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")  # it writes where the file ends

    def family(self) -> list[psutil.Process]:
        """The process and all that it started, itself first."""
        itself = psutil.Process(self.process.pid)
        return [itself, *itself.children(recursive=True)]

    def everyone(self) -> list[psutil.Process]:
        """Its family and what left it, by a group of its own and a parent that has ended, as some servers' helpers."""
        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            found = self.family()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process not in found and process.environ().get(_MARK) == self._mark:
                    found.append(process)
        return found

    def cpu_seconds(self) -> dict[int, float]:
        """Process id -> time on a CPU so far, of the process and of each that it started, itself first."""
        return seconds_on_cpu(self.family())

    def settle(self, patience: float = 20.0) -> None:
        """Wait until it has worked off what a load generator left behind."""
        deadline, before = time.monotonic() + patience, sum(self.cpu_seconds().values())
        while time.monotonic() < deadline:
            time.sleep(0.2)
            now = sum(self.cpu_seconds().values())
            if now - before <= 0.02:
                return
            before = now

    def stop(self) -> None:
        """End all that it started: asked first, then forced."""
        everyone = self.everyone()
        try:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_GRACE)
        finally:
            self._signal(signal.SIGKILL)  # also what outlived its leader
            for process in {*everyone, *self.everyone()}:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self._log.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def seconds_on_cpu(processes: Iterable[psutil.Process]) -> dict[int, float]:
    """Process id -> time on a CPU so far, of those that are alive."""
    found = {}
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            spent = process.cpu_times()
            found[process.pid] = spent.user + spent.system
    return found


@contextlib.contextmanager
def running(
    command: Sequence[str], settings: Mapping[str, str], *, folder: Path = ROOT, pipes: bool = False
) -> Iterator[Program]:
    """The program for the length of a `with` block. settings: environment variables besides the plain ones."""
    program = Program(command, {**plain_environment(), **settings}, folder, pipes=pipes)
    try:
        yield program
    finally:
        program.stop()


def plain_environment() -> dict[str, str]:
    """This process' environment without what would change how a server runs."""
    changes = ("KILN_", "GUNICORN_", "PROMETHEUS_", "OMP_", "OPENBLAS_", "MALLOC_", "TF_", "KERAS_", "WEB_CONCURRENCY")
    return {name: value for name, value in os.environ.items() if not name.startswith(changes)}


def free_port() -> int:
    """A TCP port on the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def end_on_sigterm() -> None:
    """Make SIGTERM unwind this process, as Ctrl+C does, so that every `with` block ends its program."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
