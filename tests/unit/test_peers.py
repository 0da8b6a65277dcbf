"""Side by side with other servers: what is counted, asked, judged and printed. None of them is started."""

from __future__ import annotations

import ast
import email
import email.policy
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import psutil
import pytest
from rich.console import Console

from loadtest import bench, memory, wrk
from loadtest.figures import Spread
from loadtest.peers import command, counting, environments, known, rounds, tables
from loadtest.peers.contestants import Contestant, contestants
from loadtest.peers.findings import Findings
from loadtest.peers.known import PEERS
from loadtest.peers.rounds import Outcome, Point, Series
from loadtest.photos import Photo
from loadtest.processes import ROOT, Failed, running
from tests.servers import wait_for

pytestmark = pytest.mark.unit

MODELS = {"onnx": Path("model.onnx"), "litert": Path("model.tflite"), "litert_draft": Path("model.tflite")}
PHOTO = Photo("cat.jpg", b"\xff\xd8\xff photo \r\n--", "image/jpeg")


# --- Lines of code


def test_blank_lines_comments_and_docstrings_are_no_code(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(
        '"""What it is.\n\nAt length."""\n'
        "\n"
        "# A comment\n"
        "import os  # and one more\n"
        "\n"
        "class Model:\n"
        '    """A model."""\n'
        "    text = '''two\n"
        "\n"
        "    lines'''\n"
        "    def run(self,\n"
        "            x):\n"
        "        'what it does'\n"
        "        return x\n"
    )
    assert counting.lines([file]) == len(["import", "class", "text", "", "lines", "def", "x):", "return"])


def test_what_is_not_python_counts_by_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{\n  "debug": false\n\n}\n')
    assert counting.lines([file, file]) == 6


def test_every_peer_is_counted_with_the_code_that_runs_its_model() -> None:
    found = {contestant.name: contestant.lines for contestant in contestants(known.NAMES, MODELS)}
    assert found.pop("kiln/litert") == 0
    assert all(10 < count < 100 for count in found.values()), found
    code = counting.lines(known.model_code("litert"))
    own = counting.lines([environments.PEERS / "fastapi" / "app.py"])
    assert found["fastapi/litert"] == own + code


# --- The peers


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_is_all_there(peer: known.Peer) -> None:
    for engine in peer.engines:
        assert all(file.is_file() for file in peer.written(engine))
    pinned = environments.requirements(peer.environment).read_text()
    for package in peer.packages:
        assert re.search(rf"^{package}(\[.*\])?==", pinned, re.MULTILINE)


@pytest.mark.parametrize("name", sorted({peer.environment for peer in PEERS}))
def test_requirements_of_a_peer_are_pinned_by_hash_and_run_our_engines(name: str) -> None:
    text = environments.requirements(name).read_text()
    for requirement in re.findall(r"^[^\s#].*(?:(?<=\\)\n.*)*", text, re.MULTILINE):
        assert re.match(r"[a-z0-9.-]+(\[[a-z,]+\])?==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
    assert not re.search(r"https?:|--(extra-)?index|--find-links|--trusted-host", text)
    ours = pins(ROOT / "requirements" / "serve.txt")
    theirs = pins(environments.requirements(name))
    for package in known.PACKAGES:
        assert theirs[package] == ours[package]


def pins(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", file.read_text(), re.MULTILINE))


def test_a_peer_is_nothing_of_ours() -> None:
    files = [file for name in (*known.NAMES, "shared") for file in (environments.PEERS / name).rglob("*.py")]
    assert len(files) > 8
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                beside = (file.parent / f"{name}.py").is_file()
                assert beside or name.partition(".")[0] not in {"app", "model", "loadtest", "api"}, f"{file}: {name}"


def test_a_photo_in_every_form() -> None:
    assert known.raw(PHOTO).body == PHOTO.content
    form = known.form(PHOTO)
    head = f"Content-Type: {form.kind}\r\n\r\n".encode()
    (part,) = email.message_from_bytes(head + form.body, policy=email.policy.HTTP).iter_parts()
    assert part.get_param("name", header="content-disposition") == "request"
    assert part.get_payload(decode=True) == PHOTO.content
    tensor = json.loads(known.open_inference(PHOTO).body)["inputs"][0]
    assert (tensor["shape"], tensor["datatype"]) == ([1], "BYTES")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], ["kiln/litert"]),
        (["tutorial"], ["kiln/litert", "tutorial/keras", "tutorial/litert"]),
        (
            ["litserve", "fastapi"],
            ["kiln/litert", *(f"fastapi/{engine}" for engine in MODELS), "litserve/onnx", "litserve/litert"],
        ),
    ],
)
def test_kiln_and_those_that_are_named_take_part(names: list[str], found: list[str]) -> None:
    assert [contestant.name for contestant in contestants(names, MODELS)] == found


def test_without_a_file_for_an_engine_nobody_runs_it() -> None:
    found = contestants(known.NAMES, {"litert": Path("model.tflite")})
    assert {contestant.engine for contestant in found} == {"litert", "keras"}


# --- Environments


@pytest.mark.slow
def test_a_peer_whose_environment_cannot_be_made_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "peers" / "ray").mkdir(parents=True)
    (tmp_path / "peers" / "ray" / "requirements.txt").write_text("no-hash==1.0\n")  # which pip refuses at once
    monkeypatch.setattr(environments, "FOLDER", tmp_path / "environments")
    monkeypatch.setattr(environments, "PEERS", tmp_path / "peers")
    names, left_out = command._with_environments(["tutorial", "ray", "ray-fast"], Console(file=io.StringIO()))
    assert names == ["tutorial"]
    assert list(left_out) == ["ray", "ray-fast"]
    assert "hash" in left_out["ray"].lower()
    assert not environments.ready("ray")


def test_an_environment_is_ready_when_it_was_made_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    assert not environments.ready("ray")
    python = environments.python("ray")
    python.parent.mkdir(parents=True)
    python.touch()
    assert not environments.ready("ray")
    stamp = tmp_path / "ray" / ".stamp"
    stamp.write_text(environments._stamp("ray"))
    assert environments.ready("ray")
    stamp.write_text(environments._stamp("fastapi"))  # of other requirements
    assert not environments.ready("ray")


# --- Processes


HELPER = "import signal; signal.pause()"
# Ends as soon as it has started the helper, which then has no parent of ours, and has a session of its own.
BETWEEN = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", sys.argv[1]], start_new_session=True).pid)
"""
SERVER = """
import signal, subprocess, sys
subprocess.run([sys.executable, "-c", *sys.argv[1:]])
signal.pause()
"""


def test_what_leaves_its_family_is_ended_all_the_same() -> None:
    with running([sys.executable, "-c", SERVER, BETWEEN, HELPER], {}, pipes=True) as program:
        assert program.process.stdout is not None
        helper = psutil.Process(int(program.process.stdout.readline()))
        wait_for(lambda: helper.ppid() != program.process.pid and helper not in program.family(), "it to be alone")
        assert helper in program.everyone()
    wait_for(lambda: not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE, "it to end")


def test_the_memory_of_what_has_ended_is_none() -> None:
    with running([sys.executable, "-c", ""], {}) as program:
        wait_for(lambda: psutil.Process(program.process.pid).status() == psutil.STATUS_ZOMBIE, "it to end")
        assert memory.own_megabytes([program.process.pid]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Failed("it ended"), FileNotFoundError("no such program")])
def test_a_peer_that_does_not_start_is_left_out_and_the_others_go_on(fault: Exception) -> None:
    def start() -> NoReturn:
        raise fault

    peer = Contestant("ray", "onnx", "Ray Serve", 1, known.raw(PHOTO), start)
    outcome = rounds.measure([peer], 1, 1, [1], lambda _: None)
    assert outcome.left_out == {"ray/onnx": str(fault)}
    assert outcome.series == {}
    assert len(outcome.bare) == 1
    with pytest.raises(type(fault)):
        rounds.measure([replace(peer, server="kiln")], 1, 1, [1], lambda _: None)


# --- Goals, faults and tables


def series(per_second: float, p99: float = 15.0, fault: str = "") -> Series:
    point = Point([per_second] * 3, [1.5] * 3, [10.0] * 3, [p99] * 3)
    return Series({16: point}, [0.4, 0.5, 0.6], [99.0] * 3, [fault] if fault else [])


def findings(**rates: Series) -> Findings:
    """rates: by name with _ for /."""
    names = [name.partition("_")[0] for name in rates]
    taking_part = [one for one in contestants(names, MODELS) if one.name.replace("/", "_") in rates]
    outcome = Outcome({one.name: rates[one.name.replace("/", "_")] for one in taking_part}, [1000.0] * 3)
    return Findings(taking_part, outcome, [16], 5, {"CPU": "two | cores"}, {"Ray": "ray 2"}, {"engine": Spread((1.0,))})


def test_goals_are_those_of_who_took_part() -> None:
    found = findings(
        kiln_litert=series(920),
        tutorial_keras=series(20),
        tutorial_litert=series(900),
        fastapi_onnx=series(900),
        fastapi_litert=series(800),
        litserve_litert=series(400),
        ray_onnx=series(100),
    )
    assert {goal.name: goal.met for goal in found.goals()} == {
        "answers: Kiln / bare loop": True,
        "answers: Kiln / Flask-RESTful + gunicorn, model.predict() (tutorial)": True,
        "answers: Kiln / Flask-RESTful + gunicorn, LiteRT": None,
        "answers: Kiln / FastAPI + uvicorn, ONNX Runtime": None,
        "answers: Kiln / FastAPI + uvicorn, LiteRT": False,
        "answers: Kiln / LitServe, LiteRT": True,
        "answers: Kiln / Ray Serve, ONNX Runtime": True,
        "Kiln: p99 / p50": True,
        "Kiln: start to the first answer": True,
        "Kiln: memory": True,
    }
    assert found.faults() == []


def test_goals_are_judged_at_sixteen_connections_alone() -> None:
    found = findings(kiln_litert=series(920))
    found.outcome.series["kiln/litert"].points = {4: Point([900.0], [1.0], [1.0], [9.0])}
    assert found.goals() == []


def test_wrong_answers_and_a_slow_bare_loop_make_a_run_invalid() -> None:
    found = findings(kiln_litert=series(920), ray_onnx=series(100, fault="16 connections: 3 of 9 answers were wrong"))
    assert found.faults() == ["Ray Serve, ONNX Runtime is not valid: 16 connections: 3 of 9 answers were wrong"]
    assert findings(kiln_litert=series(1500)).faults() == [
        "The bare loop is not valid: Kiln made 1.50 of it. Others took the machine."
    ]


def test_wrk_tells_how_many_answers_were_wrong() -> None:
    line = "RESULT requests=9 duration_us=1 p50_us=1 p99_us=1 status=0 connect=0 read=0 write=0 timeout=0 wrong=3"
    assert wrk.parse(line).fault == "3 of 9 answers were wrong"


def test_findings_become_json_tables_and_markdown() -> None:
    found = findings(kiln_litert=series(920, p99=30.0), fastapi_litert=series(500))
    found.outcome.left_out["bentoml"] = "no\nwheels [odd]"
    data = json.loads(json.dumps(found.to_json()))
    assert data["contestants"]["fastapi/litert"]["points"]["16"]["per_second"] == [500] * 3
    assert data["left_out"] == {"bentoml": "no\nwheels [odd]"}
    console = Console(file=io.StringIO(), width=160)
    tables.show(console, found)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for piece in ("920 (920–920)", "10.0 (10.0–10.0) / 30.0 (30.0–30.0)", "2,000", "wheels [odd]", "not met"):
        assert piece in text
    page = tables.markdown(found)
    assert "- CPU: two | cores" in page
    assert "- Ray: ray 2" in page
    assert "| Kiln | 920 (920–920) |" in page
    assert "| Kiln: p99 / p50 | 3.00 (3.00–3.00) | ≤ 2 | **missed** |" in page
    assert "Left out: bentoml. no wheels [odd]" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(row.count("|") in (3, 5, 6) for row in rows), rows


@pytest.mark.parametrize(("rounds", "said"), [(1, "1 round of 5 s"), (2, "2 rounds of 5 s"), (3, "3 rounds of 5 s")])
def test_a_result_says_how_long_was_measured_and_whether_it_is_enough(rounds: int, said: str) -> None:
    found = findings(
        kiln_litert=Series({16: Point([920.0] * rounds, [1.5] * rounds, [10.0] * rounds, [15.0] * rounds)})
    )
    found.outcome.bare = [1000.0] * rounds
    data = found.to_json()
    assert (data["rounds"], data["seconds"], data["enough_to_publish"]) == (rounds, 5, rounds >= 3)
    output = io.StringIO()
    tables.show(Console(file=output, width=160), found)
    for text in (output.getvalue(), tables.markdown(found)):
        assert said in text
        assert ("not enough to publish" in text) == (rounds < 3)


# --- The command line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--peers", "nobody"], "invalid choice: 'nobody'"),
        (["--peers", "--only", "kiln"], "--only is for"),
        (["--connections", "4"], "need --peers"),
        (["--markdown", "x.md"], "need --peers"),
        (["--peers", "--connections", "0"], "a whole number from 1 on"),
    ],
)
def test_options_that_make_no_sense(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
