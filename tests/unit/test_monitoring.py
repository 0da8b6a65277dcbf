"""The dashboard and the alert rules name declared metrics and labels alone, and the rules do what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from app import admission
from app.telemetry.declared import REGISTRY
from deploy.monitoring import dashboard
from tests.servers import ROOT

pytestmark = pytest.mark.unit

FOLDER = ROOT / "deploy" / "monitoring"
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
PARTS = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",), "gauge": ("",)}
SCRAPED = {"up": {"job", "instance"}}  # Prometheus' own


def declared() -> dict[str, set[str]]:
    """Every series that can be asked for -> its labels, those that a scrape adds among them."""
    found = dict(SCRAPED)
    for metric in set(REGISTRY._names_to_collectors.values()):
        [described] = metric.describe()
        labels = {*metric._labelnames, "job", "instance"}  # type: ignore[attr-defined]
        found |= {
            described.name + part: labels | ({"le"} if part == "_bucket" else set()) for part in PARTS[described.type]
        }
    return found


SERIES = declared()


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of all that ships."""
    for rule in ALERTS:
        yield rule["alert"], rule["expr"]
    shown = json.loads((FOLDER / "dashboard.json").read_text())
    for panel in shown["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()))
    yield from ((variable["name"], variable["query"]) for variable in shown["templating"]["list"][1:])


def series(expression: str) -> list[tuple[str, str]]:
    """(name, what stands in its braces) of every series in an expression."""
    return re.findall(r"\b(kiln_\w+|up)\b(?:\{([^}]*)\})?", expression)


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_what_is_asked_for_is_declared(where: str, expression: str) -> None:
    found = series(expression)
    assert found, where
    for name, chosen in found:
        assert name in SERIES, f"{where}: {name} is no series of ours"
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", chosen)) <= SERIES[name], f"{where}: {name}{{{chosen}}}"
    known = set.intersection(*(SERIES[name] for name, _ in found))
    for grouped in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
        assert set(filter(None, re.split(r",\s*", grouped))) <= known, f"{where}: by ({grouped})"


def test_every_metric_is_on_the_dashboard() -> None:
    text = (FOLDER / "dashboard.json").read_text()
    left_out = set(REGISTRY._collector_to_names) - {
        metric for name, metric in REGISTRY._names_to_collectors.items() if re.search(rf"\b{name}\b", text)
    }
    assert not left_out


def test_the_dashboard_is_up_to_date() -> None:
    shipped = json.loads((FOLDER / "dashboard.json").read_text())
    assert shipped == dashboard.dashboard(), "python -m deploy.monitoring.dashboard > deploy/monitoring/dashboard.json"


def test_names_follow_prometheus_rules() -> None:
    for name in SERIES.keys() - SCRAPED:
        assert re.fullmatch(r"kiln_[a-z]+(_[a-z]+)*", name)
        assert not re.search(r"_(ms|milliseconds|minutes|percent|count)$", name.removesuffix("_count"))


def test_refusals_are_those_of_the_admission() -> None:
    [rule] = (rule for rule in ALERTS if rule["alert"] == "KilnRefusing")
    [codes] = re.findall(r'code=~"([^"]*)"', rule["expr"])
    assert set(codes.split("|")) == admission.REFUSALS.keys() - {"client_gone"}


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    cases = (FOLDER / "alerts_test.yml").read_text()
    for rule in ALERTS:
        assert f'alertname="{rule["alert"]}"' in cases
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.parametrize("command", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")])
def test_promtool_agrees(command: tuple[str, ...]) -> None:
    if not (promtool := shutil.which("promtool")):
        pytest.skip("promtool is missing (Debian: apt-get install prometheus)")
    answer = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_promtool_understands_the_dashboard() -> None:
    if not (promtool := shutil.which("promtool")):
        pytest.skip("promtool is missing (Debian: apt-get install prometheus)")
    asked = [target["expr"] for panel in dashboard.dashboard()["panels"] for target in panel.get("targets", ())]
    rules = [{"record": f"panel:{n}", "expr": text.replace("$__rate_interval", "1m")} for n, text in enumerate(asked)]
    answer = subprocess.run(
        [promtool, "check", "rules", "/dev/stdin"],
        input=yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}),
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
