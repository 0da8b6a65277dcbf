"""The whole house, started once for the load tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import servers
from tests.servers import Server


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """nginx and gunicorn as they ship."""
    with servers.behind_nginx(tmp_path_factory.mktemp("house")) as server:
        yield server
