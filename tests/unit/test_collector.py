"""The garbage collector rests while a request is answered, and never for longer."""

from __future__ import annotations

import gc

import pytest
from flask import Flask

from app import collector

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("fails", [False, True])
def test_it_rests_and_goes_on(fails: bool) -> None:
    app = Flask(__name__)
    seen = []
    collector.install(app)

    @app.get("/")
    def answer() -> str:
        seen.append(gc.isenabled())
        if fails:
            raise ValueError
        return ""

    assert app.test_client().get("/").status_code == (500 if fails else 200)
    assert seen == [False]
    assert gc.isenabled()
