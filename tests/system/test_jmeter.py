"""predict.jmx, run by JMeter against gunicorn and nginx for seconds."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from app.keys import file as keys
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


def jmeter(folder: Path, *options: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
    command = [JMETER, "-n", "-t", ROOT / "loadtest" / "predict.jmx", "-j", folder / "log", "-l", folder / "results"]
    command += options
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, user=user, group=user)


def at(server: Server) -> tuple[str, ...]:
    return ("-Jhost=127.0.0.1", f"-Jport={server.port}", "-Jusers=3", "-Jramp=0", "-Jduration=3")


def test_every_user_may_run_what_one_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILN_JMETER", str(tmp_path))
    result = subprocess.run([JMETER, "--version"], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    (home,) = tmp_path.iterdir()
    assert home.stat().st_mode & 0o055 == 0o055
    assert (home / "bin" / "ApacheJMeter.jar").stat().st_mode & 0o044 == 0o044


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


def test_photos_that_cannot_be_read_are_named(photo_path: Path) -> None:
    root = os.geteuid() == 0  # who can read everything
    with tempfile.TemporaryDirectory(prefix="kiln-jmeter-") as name:
        folder, photos = Path(name), Path(name) / "photos"
        (photos / "closed").mkdir(parents=True)
        for number in range(2):
            shutil.copy(photo_path, photos / f"{number}.jpg")
        shutil.copy(photo_path, photos / "open.jpg")
        folder.chmod(0o777)
        for closed in (photos / "0.jpg", photos / "1.jpg", photos / "closed"):
            closed.chmod(0)
        try:
            result = jmeter(folder, f"-Jphotos={photos}", user=65534 if root else None)
        finally:
            (photos / "closed").chmod(0o700)
    assert result.returncode == 1
    for closed in ("0.jpg", "1.jpg", "closed"):
        assert f"kiln: {photos / closed} cannot be read" in result.stderr
    assert "open.jpg" not in result.stderr


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [JMETER, "-n", "-t", ROOT / "loadtest" / "predict.jmx", "-l", tmp_path / "file" / "results"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert result.returncode == 1
    assert f"kiln: {tmp_path / 'file'} cannot be written to" in result.stderr


def test_more_photos_than_memory(house: Server, tmp_path: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JVM_ARGS", "-Xmx128m")
    (tmp_path / "0.jpg").write_bytes(photo + bytes(3_000_000))
    for number in range(1, 100):
        (tmp_path / f"{number}.jpg").hardlink_to(tmp_path / "0.jpg")
    result = jmeter(tmp_path, *at(house), f"-Jphotos={tmp_path}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert {"raw", "form", "json"} <= {line.split(",")[2] for line in (tmp_path / "results").read_text().splitlines()}


def test_too_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JVM_ARGS", "-Xmx64m")
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(100_000_000)
    result = jmeter(tmp_path, "-Jport=9", f"-Jphotos={tmp_path}", "-Jway=json", "-Jduration=2")
    assert result.returncode == 3
    assert "kiln: Out of memory" in result.stderr


def test_a_plan_that_fails_before_it_begins(tmp_path: Path) -> None:
    plan = (ROOT / "loadtest" / "predict.jmx").read_text()
    wrong = plan.replace("def kinds = ", "throw new IOException('none')\ndef kinds = ", 1)
    (tmp_path / "plan.jmx").write_text(wrong)
    command = [JMETER, "-n", "-t", tmp_path / "plan.jmx", "-j", tmp_path / "log", "-l", tmp_path / "results"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert result.returncode == 1
    assert "kiln: The test ended before its thresholds were looked at" in result.stderr


def test_numbers_that_are_none_are_named_all_at_once(tmp_path: Path) -> None:
    wrong = ("users=abc", "duration=0", "ramp=-1", "think=1s", "port=http", "p95=nan", "p99=300ms", "errors=5")
    result = jmeter(tmp_path, *(f"-J{option}" for option in wrong))
    assert result.returncode == 1
    for option in wrong:
        assert f"kiln: -J{option} is no " in result.stderr
    assert "no request was answered" not in result.stderr


def test_an_api_key_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = keys.add(tmp_path / "keys", "load")
    monkeypatch.setenv(VARIABLE, key)
    results = tmp_path / "results"
    results.mkdir()
    with servers.gunicorn(tmp_path, workers=1, api_keys=tmp_path / "keys") as server:
        result = jmeter(results, *at(server), "-e", "-o", str(results / "dashboard"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert key not in result.stdout + result.stderr
    assert not any(key.encode() in path.read_bytes() for path in results.rglob("*") if path.is_file())
