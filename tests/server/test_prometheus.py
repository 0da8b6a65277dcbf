"""A real Prometheus, with the files that ship, scrapes Kiln through the nginx that ships."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests import servers
from tests.servers import ROOT, Server, wait_for

pytestmark = [pytest.mark.system, pytest.mark.slow]

FOLDER = ROOT / "deploy" / "monitoring"


def program(name: str) -> str:
    if not (found := shutil.which(name)):
        pytest.skip(f"{name} is missing (Debian: apt-get install prometheus)")
    return found


class Prometheus:
    """What it knows."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an expression now."""
        answer = requests.get(f"{self._url}/api/v1/query", params={"query": expression}, timeout=10).json()
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, proxied: Server, photo: bytes) -> Iterator[Prometheus]:
    """Prometheus, which has scraped at least twice since predictions were made."""
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copy(FOLDER / "alerts.yml", folder)
    text = (FOLDER / "prometheus.yml").read_text()
    changed = text.replace("127.0.0.1:80", f"127.0.0.1:{proxied.port}").replace("15s", "250ms")
    assert changed.count("250ms") == 2
    (folder / "prometheus.yml").write_text(changed)
    options = ("--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0")
    log = folder / "log"
    with servers.running([program("prometheus"), *options], log, cwd=folder):
        address = wait_for(lambda: re.search(r'"Listening on" address=(\S+)', log.read_text()), f"a port in {log}")[1]
        prometheus = Prometheus(f"http://{address}")
        wait_for(lambda: requests.get(f"http://{address}/-/ready", timeout=10).ok, "Prometheus to be ready")
        for count in (1, 5):
            post(proxied, photo)
            wait_for(lambda: scrapes(prometheus) > count, "scrapes")  # noqa: B023  called at once
        yield prometheus


def post(server: Server, photo: bytes) -> None:
    answer = requests.post(f"{server.url}/predict", data=photo, headers={"Content-Type": "image/jpeg"}, timeout=10)
    assert answer.status_code == 200


def scrapes(prometheus: Prometheus) -> int:
    found = prometheus.ask('count_over_time(up{job="kiln"}[1h])')
    return int(found[0]["value"][1]) if found else 0


def test_it_finds_kiln_well(prometheus: Prometheus) -> None:
    [up] = prometheus.ask('up{job="kiln"}')
    assert up["value"][1] == "1"
    assert prometheus.ask('ALERTS{alertstate="firing"}') == []


def test_every_panel_can_be_drawn(prometheus: Prometheus) -> None:
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    expressions = {target["expr"]: panel["title"] for panel in panels for target in panel.get("targets", ())}
    chosen = {"$__rate_interval": "1m", "$instance": ".*", "$model": ".*"}

    def empty() -> set[str]:
        found = set()
        for expression, title in expressions.items():
            for variable, value in chosen.items():
                expression = expression.replace(variable, value)
            if not prometheus.ask(expression):
                found.add(title)
        return found - {"Errors", "Errors of models"}  # there were none

    # A scrape that a busy machine lets fail leaves nothing of now until the next one.
    wait_for(lambda: not empty(), "every panel to have something")


def test_promtool_finds_no_fault_with_the_metrics(proxied: Server) -> None:
    found = requests.get(f"{proxied.url}/metrics", timeout=10).content
    answer = subprocess.run([program("promtool"), "check", "metrics"], input=found, capture_output=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
