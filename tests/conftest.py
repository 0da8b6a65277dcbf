"""Fixtures that start the real thing. What they share is in servers.py and pictures.py."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.servers import ROOT, Server


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
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """gunicorn as it ships, two workers."""
    with servers.gunicorn(tmp_path_factory.mktemp("service")) as server:
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
