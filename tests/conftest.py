"""Fixtures that start the real thing. What they share is in servers.py and pictures.py."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from model.preprocess import Preprocessing
from tests import servers
from tests.servers import ROOT, Server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a test that fails, how the servers' logs end that were started last: files are gone where others run it."""
    report = yield
    if report.failed:
        for log in servers.LOGS:
            with contextlib.suppress(OSError):
                report.sections.append((f"end of {log}", log.read_text(errors="replace")[-3000:]))
    return report


@pytest.fixture(scope="session")
def photo_path() -> Path:
    """A photo of a cat, 500 x 375 pixels."""
    return ROOT / "tests" / "data" / "cat.jpg"


@pytest.fixture(scope="session")
def photo(photo_path: Path) -> bytes:
    return photo_path.read_bytes()


@pytest.fixture(scope="session")
def pettrain() -> Path:
    """The labelled photos of cats and dogs, where they lie beside the checkout."""
    folder = ROOT.parent / "shared" / "pettrain"
    if not folder.is_dir():
        pytest.skip("../shared/pettrain is not there")
    return folder


@pytest.fixture(scope="session")
def many_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of many small models; `pets` has three versions, two labels and a canary split."""
    from tests import bundles  # takes Keras, which nothing else here needs

    store = tmp_path_factory.mktemp("store")
    picture = Preprocessing(height=16, width=16)
    for version in ("1", "2", "3"):
        model = bundles.convolutional(int(version))
        built = {"photos": f"number {version}"}
        bundles.make(store, "pets", version, model, labels=("cat", "dog"), preprocessing=picture, built=built)
    serving = {
        "versions": "all",
        "labels": {"stable": "2", "canary": "3"},
        "split": {"stable": 60, "canary": 40},
    }
    (store / "pets" / "serving.json").write_text(json.dumps(serving))
    features = bundles.convolutional(features=True)
    bundles.make(store, "features", "1", features, labels=("cat", "dog"), preprocessing=picture)
    bundles.make(store, "embedding", "1", bundles.convolutional(), preprocessing=picture)
    bundles.make(store, "dense", "1", bundles.dense())
    bundles.make(store, "iris", "7", bundles.dense(units=3), labels=("a", "b", "c"), scores="softmax")
    bundles.make(store, "two", "1", bundles.two_inputs())
    bundles.make(store, "sequence", "1", bundles.sequence())
    bundles.make(store, "words", "1", bundles.words())
    bundles.make(store, "exponential", "1", bundles.exponential())
    for dtype in ("uint8", "int64", "uint64", "float16", "float64", "bool"):
        bundles.make(store, f"echo-{dtype}", "1", bundles.echo(dtype))
    broken = bundles.make(store, "broken", "1", bundles.dense())
    with (broken.folder / "model.keras").open("r+b") as file:
        file.write(b"damage")
    return store


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """gunicorn as it ships, two workers."""
    with servers.gunicorn(tmp_path_factory.mktemp("service")) as server:
        yield server


@pytest.fixture(scope="session")
def many_service(many_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """gunicorn on the store of many models, whose engine is Keras; `pets` is the default one."""
    folder = tmp_path_factory.mktemp("many")
    with servers.gunicorn(folder, store=many_store, model="pets", workers=1, load_wait=100, timeout=200) as server:
        yield server


@pytest.fixture
def start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start gunicorn with settings of one's own: start_service(body_timeout=1, up="/live")."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(servers.gunicorn(tmp_path_factory.mktemp("own"), **settings))


@pytest.fixture(scope="session")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """nginx as it ships, before gunicorn on a unix socket."""
    with servers.behind_nginx(tmp_path_factory.mktemp("proxied")) as server:
        yield server


@pytest.fixture(scope="session")
def prefixed_service(tmp_path_factory: pytest.TempPathFactory, proxied: Server) -> Iterator[Server]:
    """The same gunicorn, published by another nginx below a path; the url ends with a slash."""
    assert proxied.backend is not None
    folder = tmp_path_factory.mktemp("prefixed")
    run = Path(proxied.backend.url.removeprefix("unix:")).parent
    with servers.nginx(folder, run, "/some/prefix/", proxied.backend) as server:
        yield server


@pytest.fixture(params=["direct", "proxied"])
def base(request: pytest.FixtureRequest) -> Server:
    """The service, without and with nginx in between."""
    return request.getfixturevalue("service" if request.param == "direct" else "proxied")
