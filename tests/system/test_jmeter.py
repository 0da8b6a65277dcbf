"""predict.jmx, run by JMeter against gunicorn and nginx for seconds."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from app.keys import file
from loadtest.key import VARIABLE
from tests import servers
from tests.servers import ROOT, Server

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(420)]

JMETER = ROOT / "loadtest" / "jmeter" / "jmeter"


@pytest.fixture(scope="module", autouse=True)
def fetched() -> None:
    """JMeter is there, or the tests are skipped and say why."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed, which JMeter needs")
    try:
        result = subprocess.run([JMETER, "--version"], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        pytest.skip("JMeter could not be fetched from Maven Central within 300 seconds")
    if "could not be fetched" in result.stderr:
        pytest.skip(f"Maven Central: {result.stderr.strip()[-300:]}")
    assert result.returncode == 0, result.stderr
    assert "5.6" in result.stdout


def jmeter(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [JMETER, "-n", "-t", ROOT / "loadtest" / "predict.jmx", "-j", folder / "log", "-l", folder / "results"]
    return subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, timeout=100)


def at(server: Server) -> tuple[str, ...]:
    return ("-Jhost=127.0.0.1", f"-Jport={server.port}", "-Jusers=3", "-Jramp=0", "-Jduration=3")


def test_all_three_ways_and_the_dashboard(house: Server, tmp_path: Path) -> None:
    before = house.metrics()["kiln_images_total"]
    result = jmeter(tmp_path, *at(house), "-Jp95=20000", "-Jp99=20000", "-e", "-o", str(tmp_path / "dashboard"))
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads((tmp_path / "dashboard" / "statistics.json").read_text())
    assert set(found) == {"raw", "form", "json", "Total"}
    assert all(entry["sampleCount"] > 0 == entry["errorCount"] for entry in found.values())
    assert house.metrics()["kiln_images_total"] - before >= found["Total"]["sampleCount"]
    assert (tmp_path / "dashboard" / "index.html").is_file()


def test_thresholds_set_the_exit_status(house: Server, tmp_path: Path) -> None:
    result = jmeter(tmp_path, *at(house), "-Jway=raw", "-Jp95=0.5", "-Jp99=0.5")
    assert result.returncode == 1
    assert "kiln: p95 " in result.stderr
    assert "kiln: p99 " in result.stderr
    assert "error rate" not in result.stderr


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        port = taken.getsockname()[1]
        result = jmeter(tmp_path, f"-Jport={port}", "-Jusers=1", "-Jduration=2", "-Jthink=200", "-Jerrors=1")
    assert result.returncode == 1
    assert "kiln: no request was answered" in result.stderr


def test_no_photos(tmp_path: Path) -> None:
    result = jmeter(tmp_path, f"-Jphotos={tmp_path}")
    assert result.returncode == 1
    assert f"kiln: {tmp_path} has no photos" in result.stderr


def test_numbers_that_are_none_are_named_all_at_once(tmp_path: Path) -> None:
    wrong = ("users=abc", "duration=0", "ramp=-1", "think=1s", "port=http", "p95=nan", "p99=300ms", "errors=5")
    result = jmeter(tmp_path, *(f"-J{option}" for option in wrong))
    assert result.returncode == 1
    for option in wrong:
        assert f"kiln: -J{option} is no " in result.stderr
    assert "no request was answered" not in result.stderr


def test_an_api_key_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = file.add(tmp_path / "keys", "load")
    monkeypatch.setenv(VARIABLE, key)
    results = tmp_path / "results"
    results.mkdir()
    with servers.gunicorn(tmp_path, workers=1, api_keys=tmp_path / "keys") as server:
        result = jmeter(results, *at(server), "-e", "-o", str(results / "dashboard"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert key not in result.stdout + result.stderr
    assert not any(key.encode() in path.read_bytes() for path in results.rglob("*") if path.is_file())
