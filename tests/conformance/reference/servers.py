"""Servers of other people's that the kit is tried against, each in an environment of its own beside the checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .formulas import FORMULAS, INPUTS, OUTPUTS, described

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


@dataclass(frozen=True)
class Reference:
    """A server to compare with.

    name: of its package, and of its environment. version: the package's.
    prepare: writes what it needs into a folder, for these ports. command: what to run there, after the Python.
    up: a path that is 200 when it is ready.
    """

    name: str
    version: str
    prepare: Callable[[Path, list[int]], None]
    command: Callable[[Path, list[int]], list[str]]
    up: str = "/v2/health/ready"
    ports: int = 1

    @property
    def python(self) -> Path:
        """Of its environment, which need not be there."""
        return ROOT / f".venv-{self.name}" / "bin" / "python"

    @property
    def made(self) -> bool:
        """Is its environment there, whole and of this version?"""
        stamp = self.python.parent.parent / ".stamp"
        return self.python.exists() and stamp.exists() and stamp.read_text() == self._stamp

    @property
    def _stamp(self) -> str:
        return f"{self.version} {self.python}"  # scripts inside hold absolute paths: a moved checkout needs a new one

    def make(self) -> None:
        """Make the environment, from the package index that pip is set to. Raises CalledProcessError."""
        if self.made:
            return
        folder = self.python.parent.parent
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "--only-binary", ":all:", f"{self.name}=={self.version}"], check=True)
        (folder / ".stamp").write_text(self._stamp)

    def start(self, folder: Path, ports: list[int]) -> list[str]:
        """Write what it needs into an empty folder, and return the command that runs it there."""
        self.prepare(folder, ports)
        return [str(self.python), *self.command(folder, ports)]


def _prepare_mlserver(folder: Path, ports: list[int]) -> None:
    """Settings, and a folder for each model with a copy of the runtime: `mlserver start` takes them so."""
    names = ("http_port", "grpc_port", "metrics_port")
    settings = {"host": "127.0.0.1", "debug": False, "parallel_workers": 0, **dict(zip(names, ports, strict=True))}
    (folder / "settings.json").write_text(json.dumps(settings))
    for name in FORMULAS:
        model = folder / name
        model.mkdir()
        for file in ("mlserver_runtime.py", "formulas.py"):
            shutil.copy(HERE / file, model)
        settings = {
            "name": name,
            "platform": "formula_numpy",
            "implementation": "mlserver_runtime.Formula",
            "parameters": {"version": "1"},
            "inputs": described(INPUTS[name]),
            "outputs": described(OUTPUTS[name]),
        }
        (model / "model-settings.json").write_text(json.dumps(settings))


MLSERVER = Reference(
    name="mlserver",
    version="1.7.1",
    prepare=_prepare_mlserver,
    command=lambda folder, ports: ["-m", "mlserver.cli.main", "start", str(folder)],
    ports=3,
)
KSERVE = Reference(
    name="kserve",
    version="0.21.0",
    prepare=lambda folder, ports: None,
    command=lambda folder, ports: [str(HERE / "kserve_server.py"), "--port", str(ports[0])],
)
REFERENCES = {reference.name: reference for reference in (MLSERVER, KSERVE)}
