"""The application in this process, asked through Flask's test client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.settings import Settings


@pytest.fixture(scope="session")
def app() -> Flask:
    return create_app(Settings(load_wait=60, max_body_bytes=1_000_000, max_images=4))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def many_app(many_store: Path) -> Flask:
    return create_app(Settings(store=many_store, model="pets", load_wait=100, max_instances=100, max_images=4))


@pytest.fixture
def many(many_app: Flask) -> FlaskClient:
    """A client of a service with many models; `pets` is the default one."""
    return many_app.test_client()


@pytest.fixture(scope="module")
def make_app() -> Iterator[Callable[..., Flask]]:
    """Make an application with settings of one's own; its store is followed no more when the file's tests are done."""
    made = []

    def make(**settings: Any) -> Flask:
        made.append(create_app(Settings(load_wait=100, **settings)))
        return made[-1]

    yield make
    for app in made:
        app.extensions["kiln"]["store"].close()
