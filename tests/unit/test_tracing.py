"""Traces are made where OpenTelemetry's standard variables ask for them; else its packages are not even imported."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from app import settings
from app.telemetry import tracing
from tests.servers import ROOT

pytestmark = pytest.mark.unit

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
STARTED = """
import sys
from app import create_app
from app.settings import Settings
create_app(Settings(load_wait=0))
print(any(name.startswith("opentelemetry") for name in sys.modules))
"""


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_SERVICE_NAME": "pets"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "false"}, True),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
)
def test_the_standard_variables_ask_for_traces(environment: dict[str, str], asked: bool) -> None:
    assert settings.traced(environment) is asked


@pytest.mark.parametrize(("environment", "loaded"), [({}, "False"), (ENDPOINT, "True")])
def test_nothing_of_it_is_imported_unasked(environment: dict[str, str], loaded: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "KILN_"))}
    answer = subprocess.run(
        [sys.executable, "-c", STARTED], cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == loaded


def test_without_its_packages_the_service_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    monkeypatch.setattr(logging.getLogger("kiln"), "propagate", True)
    assert tracing.start() is None
    assert "pip install -r requirements/tracing.txt" in caplog.text
