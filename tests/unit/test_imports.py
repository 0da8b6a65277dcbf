"""What the quick finder gives is what Python's own would; the rest it leaves to that."""

from __future__ import annotations

import importlib
import json
import py_compile
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from importlib.util import find_spec
from pathlib import Path

import pytest

from deploy.imports import NEEDLESS, Finder, Loader

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
DESCRIBE = """
import json, sys
if len(sys.argv) > 2:
    from deploy.imports import finder
    finder.start()
import importlib
importlib.import_module(sys.argv[1])
import flask_restful, gunicorn.workers.gthread, numpy, orjson, prometheus_client, simplejpeg, PIL.BmpImagePlugin
import app.dialects, model.preprocess, model.store
found, quick = {}, 0
for name, module in sys.modules.items():
    spec = module.__dict__.get("__spec__")
    if spec is None or name.partition(".")[0] in ("__main__", "deploy", "importlib"):
        continue
    quick += type(spec.loader).__module__ == "deploy.imports"
    path = spec.submodule_search_locations
    found[name] = [
        module.__dict__.get("__file__"), module.__dict__.get("__cached__"), module.__dict__.get("__package__"),
        spec.origin, spec.cached, spec.has_location, spec.parent, None if path is None else list(path),
    ]
print(json.dumps([found, quick]))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The first on the path, with a quick finder."""
    finder = Finder()
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.syspath_prepend(str(tmp_path))
    finder.start()
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def written(path: Path, text: str, *, compiled: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if compiled:
        py_compile.compile(str(path))
    return path


def described(*arguments: str) -> tuple[dict[str, list[object]], int]:
    command = [sys.executable, "-c", DESCRIBE, *arguments]
    done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    found, quick = json.loads(done.stdout.splitlines()[-1])
    return found, quick


@pytest.mark.parametrize(
    ("engine", "least"),
    [("ai_edge_litert.interpreter", 200), ("onnxruntime", 200), pytest.param("keras", 2000, marks=pytest.mark.slow)],
)
def test_every_module_of_the_service_is_what_it_is_without(engine: str, least: int) -> None:
    if find_spec(package := engine.partition(".")[0]) is None:
        pytest.skip(f"{package} is not installed")
    found, quick = described(engine, "quick")
    assert quick > least
    assert (found, 0) == described(engine)


NOTHING_RUN = """
import sys
sys.path[0] = sys.argv[1]
from deploy.imports import NEEDLESS, finder
finder.start()
import ai_edge_litert.interpreter, pathlib
for name in sorted(NEEDLESS):
    print(hasattr(sys.modules[name], "__version__") or hasattr(sys.modules[name], "add_newdoc"))
print("libLiteRt.so" in pathlib.Path("/proc/self/maps").read_text())
"""


@pytest.mark.skipif(find_spec("ai_edge_litert") is None, reason="ai_edge_litert is not installed")
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="there is no /proc here")
def test_of_needless_modules_nothing_is_run() -> None:
    command = [sys.executable, "-c", NOTHING_RUN, str(ROOT)]
    done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT, text=True)
    # One line each, all of them: none has another name by now.
    assert done.stdout.split() == ["False"] * (len(NEEDLESS) + 1)


def test_modules_and_packages(folder: Path) -> None:
    written(folder / "kiln_one.py", "value = 1")
    written(folder / "kiln_two" / "__init__.py", "from . import inner")
    written(folder / "kiln_two" / "inner.py", "value = 2")
    one, inner = importlib.import_module("kiln_one"), importlib.import_module("kiln_two.inner")
    assert (one.value, inner.value) == (1, 2)
    assert isinstance(one.__loader__, Loader)
    assert isinstance(inner.__loader__, Loader)
    assert sys.modules["kiln_two"].__path__ == [str(folder / "kiln_two")]


def test_a_source_that_changed_is_compiled_anew(folder: Path) -> None:
    file = written(folder / "kiln_changed.py", "value = 1")
    file.write_text("value = 'another'")
    assert importlib.import_module("kiln_changed").value == "another"


@pytest.mark.parametrize("spoilt", [b"", b"no byte code", bytes(400)])
def test_byte_code_that_is_none_is_made_anew(folder: Path, spoilt: bytes) -> None:
    file = written(folder / "kiln_spoilt.py", "value = 1")
    [cached] = (folder / "__pycache__").iterdir()
    cached.write_bytes(spoilt)
    assert importlib.import_module("kiln_spoilt").value == 1
    assert file.exists()


def test_without_byte_code(folder: Path) -> None:
    written(folder / "kiln_fresh.py", "value = 1", compiled=False)
    assert importlib.import_module("kiln_fresh").value == 1


def test_byte_code_by_the_hash_of_its_source(folder: Path) -> None:
    file = written(folder / "kiln_hashed.py", "value = 1", compiled=False)
    py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    file.write_text("value = 2")
    assert importlib.import_module("kiln_hashed").value == 2


def test_what_is_no_source_is_left_to_python(folder: Path) -> None:
    (folder / "kiln_space").mkdir()
    (folder / f"kiln_built{EXTENSION_SUFFIXES[0]}").touch()
    written(folder / "kiln_built.py", "value = 1")
    finder = Finder()
    finder.start()
    for name in ("kiln_space", "kiln_built", "kiln_nowhere"):
        assert finder.find_spec(name, [str(folder)]) is None
    assert importlib.import_module("kiln_space").__path__


def test_an_earlier_place_wins_also_where_it_is_an_archive(folder: Path) -> None:
    archive = folder / "packed.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("kiln_packed.py", "value = 'archive'")
    written(folder / "kiln_packed.py", "value = 'folder'")
    sys.path.insert(0, str(archive))
    assert importlib.import_module("kiln_packed").value == "archive"


def test_a_file_that_came_after_the_look_is_found(folder: Path) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("kiln_late")
    written(folder / "kiln_late.py", "value = 1", compiled=False)
    importlib.invalidate_caches()
    assert importlib.import_module("kiln_late").value == 1


def test_it_stands_before_pythons_own_once_and_rests_when_stopped(folder: Path) -> None:
    [finder] = [one for one in sys.meta_path if isinstance(one, Finder)]
    finder.start()
    assert sys.meta_path.count(finder) == 1
    assert sys.meta_path.index(finder) == sys.meta_path.index(PathFinder) - 1
    written(folder / "kiln_rest.py", "value = 1")
    finder.stop()
    assert finder.find_spec("kiln_rest") is None
    assert importlib.import_module("kiln_rest").value == 1
