"""Traces are made where OpenTelemetry's standard variables ask for them; else its packages are not even imported."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from app import settings
from app.telemetry import tracing
from model import extras
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
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "console, otlp"}, True),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "console"}, False),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": ""}, True),
    ],
)
def test_the_standard_variables_ask_for_traces(environment: dict[str, str], asked: bool) -> None:
    assert settings.traced(environment) is asked


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, ""),
        ({"OTEL_TRACES_EXPORTER": "none"}, ""),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ""),
        ({"OTEL_TRACES_EXPORTER": "console,otlp"}, "names console, Kiln has otlp alone: that is ignored"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "names zipkin, Kiln has otlp alone: no traces are sent"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "the protocol grpc"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "the protocol http/json"),
    ],
)
def test_what_is_asked_for_and_not_done_is_logged(variables: dict[str, str], said: str) -> None:
    assert settings.untraced(variables) == ""  # nobody is to get traces
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "KILN_"))}
    environment = clean | ENDPOINT | variables
    done = subprocess.run(
        [sys.executable, "-c", STARTED], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    warnings = [line for line in done.stderr.splitlines() if "OTEL_" in line]
    assert len(warnings) == bool(said)
    assert said in "".join(warnings)


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
    assert extras.install("tracing") in caplog.text
