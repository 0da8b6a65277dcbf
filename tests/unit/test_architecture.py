"""Imports point one way: deploy -> api -> app -> model, and engines are imported where they run alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
HEAVY = {
    "tensorflow",
    "keras",
    "torch",
    "ai_edge_litert",
    "onnxruntime",
    "onnx",
    "tf2onnx",
    "h5py",
    "cv2",
    "matplotlib",
}
MAY_IMPORT_HEAVY = ("model/engines/", "model/build/", "model/training/")
WEB = {"flask", "flask_restful", "werkzeug", "gunicorn"}


def modules(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found
    return found


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Absolute names that a file imports, with the line."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            yield ".".join(filter(None, (base, node.module or ""))), node.lineno


@pytest.mark.parametrize("path", modules("model"), ids=lambda path: str(path.relative_to(ROOT)))
def test_model_knows_no_http(path: Path) -> None:
    for name, line in imported(path):
        assert name.partition(".")[0] not in WEB | {"app", "deploy", "api"}, f"{path}:{line} imports {name}"


@pytest.mark.parametrize("path", modules("app") + modules("model"), ids=lambda path: str(path.relative_to(ROOT)))
def test_engines_are_imported_where_they_run_alone(path: Path) -> None:
    if str(path.relative_to(ROOT)).startswith(MAY_IMPORT_HEAVY):
        return
    for name, line in imported(path):
        assert name.partition(".")[0] not in HEAVY, f"{path}:{line} imports {name}"


@pytest.mark.parametrize("path", modules("app"), ids=lambda path: str(path.relative_to(ROOT)))
def test_app_sees_models_through_the_store(path: Path) -> None:
    public = {"model", "model.store", "model.errors", "model.preprocess"}
    for name, line in imported(path):
        if name.partition(".")[0] == "model":
            assert name in public, f"{path}:{line} imports {name}, an inside of model"
        assert name.partition(".")[0] not in {"deploy", "api", "gunicorn"}, f"{path}:{line} imports {name}"


@pytest.mark.parametrize("path", modules("app") + modules("model"), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_serves_knows_no_load_test(path: Path) -> None:
    for name, line in imported(path):
        assert name.partition(".")[0] not in {"loadtest", "locust"}, f"{path}:{line} imports {name}"


def test_the_arithmetic_of_a_plan_reads_nothing() -> None:
    names = {name for name, _ in imported(ROOT / "loadtest" / "plan" / "arithmetic.py")}
    assert names == {"__future__", "bisect", "collections.abc", "dataclasses", "math", "statistics"}


@pytest.mark.parametrize("path", modules("app"), ids=lambda path: str(path.relative_to(ROOT)))
def test_resources_are_the_table_of_urls_own(path: Path) -> None:
    if path.name == "routes.py":
        return
    for name, line in imported(path):
        assert not name.startswith("app.resources"), f"{path}:{line} imports {name}; share a file outside"


def test_the_web_app_imports_without_an_engine() -> None:
    code = f"import app.routes, model.store, sys; print(sorted({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_settings_import_nothing_of_the_web() -> None:
    code = f"import app.settings, sys; print(sorted({WEB | {'numpy', 'PIL'}!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_the_environment_is_read_in_one_place() -> None:
    allowed = {"app/settings.py", "app/telemetry/declared.py", "model/engines/keras.py"}
    allowed |= {"model/cli/__main__.py"}  # where the caller stood, and the store that the server would take
    allowed |= {"app/keys/__main__.py"}  # where the caller stood
    for path in modules("app") + modules("model"):
        relative = str(path.relative_to(ROOT))
        if relative not in allowed and not relative.startswith(("model/build/", "model/training/")):
            assert "os.environ" not in path.read_text(), relative


@pytest.mark.parametrize("path", modules("app") + modules("model"), ids=lambda path: str(path.relative_to(ROOT)))
def test_traces_are_an_extra(path: Path) -> None:
    if path.name != "tracing.py":
        for name, line in imported(path):
            assert name.partition(".")[0] != "opentelemetry", f"{path}:{line} imports {name}"
