"""A virtual environment for each peer, made on first use: their requirements contradict one another, and ours."""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..processes import ROOT, Failed

FOLDER = ROOT / ".venv-peers"
PEERS = Path(__file__).parent
_TIMEOUT = 1200.0  # seconds for one step; Ray alone has some 100 MB to fetch
_STAMP = ".stamp"


def python(name: str) -> Path:
    """The interpreter of a peer, whether it is there or not."""
    return FOLDER / name / "bin" / "python"


def requirements(name: str) -> Path:
    """What is pinned for a peer, with hashes."""
    return PEERS / name / "requirements.txt"


def ready(name: str) -> bool:
    """Was it made to its end, of these requirements, with this Python and in this folder?"""
    file = FOLDER / name / _STAMP
    return python(name).exists() and file.is_file() and file.read_text() == _stamp(name)


def ensure(name: str, tell: Callable[[str], None]) -> Path:
    """The interpreter of a peer, with all that it needs. Raises Failed with the reason where it cannot be had."""
    try:
        FOLDER.mkdir(exist_ok=True)
        with (FOLDER / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two benchmarks at once make it once
            if not ready(name):
                _make(name, tell)
    except OSError as fault:
        raise Failed(f"The environment of {name} could not be made: {fault}") from fault
    return python(name)


def versions(name: str, packages: Sequence[str]) -> dict[str, str]:
    """package -> version, of those that are installed for a peer."""
    code = (
        "import importlib.metadata as m, sys\n"
        "for d in m.distributions(): print(d.metadata['Name'].lower().replace('_', '-'), d.version)"
    )
    done = subprocess.run([python(name), "-c", code], check=True, capture_output=True, text=True)
    found = dict(line.split() for line in done.stdout.splitlines())
    return {package: found[package] for package in packages if package in found}


def _make(name: str, tell: Callable[[str], None]) -> None:
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    tell(f"making the environment of {name} (first run, a minute or two)")
    _run(name, [sys.executable, "-m", "venv", str(folder)])
    # As the launcher installs: the hashes name every file, and wheels only, so that nothing is built here.
    pip = [str(python(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    _run(name, [*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(requirements(name))])
    (folder / _STAMP).write_text(_stamp(name))  # last, so that it proves a finished one


def _run(name: str, command: list[str]) -> None:
    try:
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT,
        )
    except subprocess.CalledProcessError as fault:
        raise Failed(f"The environment of {name} could not be made: {_last_lines(fault.stdout)}") from fault
    except subprocess.TimeoutExpired as fault:
        raise Failed(f"The environment of {name} could not be made: {fault}") from fault


def _last_lines(text: str) -> str:
    return " ".join(text.strip().splitlines()[-3:])[-500:]


def _stamp(name: str) -> str:
    """Scripts inside hold absolute paths, and its packages lie in a folder of its Python's version."""
    digest = hashlib.sha256(requirements(name).read_bytes()).hexdigest()
    return f"{digest} {platform.python_version()} {ROOT}\n"
