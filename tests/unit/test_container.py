"""The Dockerfile, held to the checkout: what it copies, without what its ignore file leaves out, serves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT, clean_environment

pytestmark = pytest.mark.unit

DOCKERFILE = ROOT / "deploy" / "container" / "Dockerfile"
IGNORED = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
STEPS = [tuple(line.split(maxsplit=1)) for line in DOCKERFILE.read_text().splitlines() if line and line[0] != "#"]


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in STEPS if name == instruction]


def copied() -> list[str]:
    return [source for rest in arguments("COPY") for source in rest.split()[:-1]]


def test_the_instructions_are_known_and_in_order() -> None:
    kinds = [name for name, _ in STEPS]
    assert set(kinds) <= {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert kinds[0] == "FROM"
    assert kinds.index("USER") > max(at for at, name in enumerate(kinds) if name == "RUN")
    assert arguments("STOPSIGNAL") == ["SIGTERM"]


def test_the_ignore_file_lets_through_what_is_copied_and_no_more() -> None:
    assert IGNORED[0] == "*"
    assert sorted(line[1:] for line in IGNORED if line.startswith("!")) == sorted(copied())


def test_the_commands_are_the_launchers() -> None:
    [folder], [entry], [command] = arguments("WORKDIR"), arguments("ENTRYPOINT"), arguments("CMD")
    assert json.loads(entry) == [f"{folder}/kiln"]
    assert os.access(ROOT / "kiln", os.X_OK)
    launched = [*json.loads(command), *re.findall(r"\./kiln (\w+)", " ".join(arguments("RUN")))]
    assert launched == ["run", "models"]
    for name in launched:
        assert f"do_{name}()" in (ROOT / "kiln").read_text()


@pytest.mark.slow
def test_what_is_copied_proves_its_models_and_makes_the_app(tmp_path: Path) -> None:
    for rest in arguments("COPY"):
        *sources, target = rest.split()
        for source in sources:
            to = tmp_path / target if (ROOT / source).is_dir() else tmp_path / target / Path(source).name
            to.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / source).is_dir() else shutil.copy)(ROOT / source, to)
    for pattern in IGNORED[1:]:
        if pattern[0] != "!":
            for path in tmp_path.glob(pattern):
                shutil.rmtree(path)
    for command in (["-m", "model.cli", "verify"], ["deploy/trial.py"], ["deploy/run.py", "--help"]):
        done = subprocess.run(
            [sys.executable, "-B", *command], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
