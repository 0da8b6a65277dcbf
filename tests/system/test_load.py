"""`./kiln load` against gunicorn and nginx, for seconds."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest

from loadtest.load.__main__ import main
from loadtest.plan.__main__ import main as plan
from loadtest.servers import PHOTO
from tests.servers import Server

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.mark.parametrize("way", ["raw", "form", "json"])
def test_a_report_and_the_plan_made_of_it(
    house: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    assert house.backend is not None
    options = ["--url", house.url, "--pid", str(house.process.pid), "--pid", str(house.backend.process.pid)]
    folder = tmp_path / "report"
    assert main([*options, "--users", "1,3", "--duration", "0.5", "--way", way, "--output", str(folder)]) == 0
    report = json.loads((folder / "report.json").read_text())
    assert [point["users"] for point in report["points"]] == [1, 3]
    for point in report["points"]:
        assert len(point["per_second"]["values"]) == 3
        assert 0 < point["p50_ms"]["median"] <= point["p99_ms"]["median"]
        assert point["errors"] == {}
        assert sum(point["histogram"]["counts"]) > 0
        names = " ".join(process["name"] for process in point["processes"])
        assert "load generator" in names
        assert "nginx" in names
        assert point["cpu"]["median"] > 0
    assert "catdog 1 (litert)" in report["facts"]["Server"]
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert report["facts"]["CPU"] in page
    for picture in ("response_time", "throughput", "histogram", "processes"):
        assert (folder / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    wanted = ["--peak", "2000", "--p99", "60000", "--instance", "c5.large:2:219"]
    assert plan(["--report", str(folder / "report.json"), *wanted]) == 0
    assert "always on at peak" in capsys.readouterr().out


def test_errors_set_the_exit_status_and_the_report_is_written(
    house: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(PHOTO, photos / "a.jpg")
    (photos / "b.jpg").write_bytes(b"no photo")
    options = ["--url", house.url, "--users", "1", "--duration", "0.5", "--photos", str(photos)]
    assert main([*options, "--output", str(tmp_path / "report")]) == 1
    message = capsys.readouterr().err
    assert "kiln: 1 users: error rate 0." in message
    assert "status 400" in message
    assert (tmp_path / "report" / "report.html").is_file()
    assert main([*options, "--output", str(tmp_path / "report"), "--max-error-rate", "0.9"]) == 0


def test_nobody_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert main(["--url", url, "--output", str(tmp_path)]) == 1
    assert f"{url} does not answer" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_answers_must_be_kiln(house: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", f"{house.url}/elsewhere", "--output", str(tmp_path)]) == 1
    assert "is answered with 404" in capsys.readouterr().err


@pytest.mark.timeout(60)  # half of what is waited for a server that may still come
def test_an_engine_that_the_bundle_has_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--engine", "onnx", "--workers", "1", "--output", str(tmp_path)]) == 1
    assert "has no file for engine 'onnx'" in capsys.readouterr().err
