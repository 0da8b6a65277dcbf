"""Figures of faults: what a test measured, printed after the run for docs/reliability.md."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_PREFIX = "figure: "


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """figure("worker killed, directly", "3 of 812 requests failed")."""
    return lambda name, value: record_property(_PREFIX + name, str(value))  # xdist sends plain values alone


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    figures = [pair for report in reports if report.when == "call" for pair in report.user_properties]
    if figures:
        terminalreporter.section("figures")
    for name, value in figures:
        if name.startswith(_PREFIX):
            terminalreporter.write_line(f"{name.removeprefix(_PREFIX)}: {value}")
