"""The application in this process, asked through Flask's test client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.settings import Settings
from model.preprocess import Preprocessing


@pytest.fixture(scope="session")
def app() -> Flask:
    return create_app(Settings(load_wait=60, max_body_bytes=1_000_000, max_images=4))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


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
        file.truncate(1000)
    return store


@pytest.fixture(scope="session")
def many_app(many_store: Path) -> Flask:
    return create_app(Settings(store=many_store, model="pets", load_wait=100, max_instances=100, max_images=4))


@pytest.fixture
def many(many_app: Flask) -> FlaskClient:
    """A client of a service with many models; `pets` is the default one."""
    return many_app.test_client()
