"""The benchmark's arithmetic and its reading of wrk. Nothing here is timed, and nothing is started."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from loadtest import asking, bench, dialects, figures, forms, report, switches, wrk, zoo
from loadtest.bench import Findings
from loadtest.figures import Goal, Spread
from loadtest.rounds import Series

pytestmark = pytest.mark.unit

# Printed by wrk 4.1.0 with post.lua.
GOOD = """\
Running 2s test @ http://127.0.0.1:36611/predict
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    30.92ms   22.74ms 137.75ms   85.39%
    Req/Sec   587.79    292.71   838.00     68.42%
  1116 requests in 2.01s, 481.91KB read
Requests/sec:    554.68
Transfer/sec:    239.52KB
RESULT requests=1116 duration_us=2011968 p50_us=20915 p99_us=114192 status=0 connect=0 read=0 write=0 timeout=0
"""
REFUSED = """\
Running 1s test @ http://127.0.0.1:36611/predict?top=99
  6824 requests in 1.10s, 2.31MB read
  Non-2xx or 3xx responses: 6824
Requests/sec:   6203.44
RESULT requests=6824 duration_us=1100034 p50_us=583 p99_us=3905 status=6824 connect=0 read=0 write=0 timeout=0
"""


def test_a_good_run_of_wrk() -> None:
    result = wrk.parse(GOOD)
    assert result.requests == 1116
    assert result.per_second == pytest.approx(554.68, abs=0.01)  # as wrk itself says above
    assert (result.p50_ms, result.p99_ms) == (20.915, 114.192)
    assert result.fault == ""


def test_answers_that_are_errors_make_a_run_invalid() -> None:
    assert wrk.parse(REFUSED).fault == "6824 answers were not 2xx, 0 socket errors"


@pytest.mark.parametrize("kind", ["connect", "read", "write", "timeout"])
def test_socket_errors_of_every_kind_make_a_run_invalid(kind: str) -> None:
    assert wrk.parse(GOOD.replace(f"{kind}=0", f"{kind}=3")).fault == "0 answers were not 2xx, 3 socket errors"


def test_no_answers_make_a_run_invalid() -> None:
    assert wrk.parse(GOOD.replace("requests=1116", "requests=0")).fault == "no answers"


@pytest.mark.parametrize("output", ["", "unable to connect", GOOD.replace(" p99_us=114192", "")])
def test_wrk_that_printed_something_else(output: str) -> None:
    with pytest.raises(ValueError, match="wrk printed no"):
        wrk.parse(output)


def test_a_spread_shows_its_median_and_its_ends() -> None:
    assert Spread((0.9, 0.7, 0.8)).text() == "0.80 (0.70–0.90)"
    assert Spread((1234.5,)).text(0) == "1,234"
    assert Spread((1.0, 2.0)).median == 1.5


def test_a_ratio_pairs_the_rounds() -> None:
    # The second round was three times slower for both, which must not show.
    found = figures.ratio(Spread((800.0, 300.0)), Spread((1000.0, 375.0)))
    assert found.values == pytest.approx((0.8, 0.8))


def test_a_ratio_of_unequal_rounds_is_refused() -> None:
    with pytest.raises(ValueError):
        figures.ratio(Spread((1.0, 2.0)), Spread((1.0,)))


def test_a_ratio_of_what_was_not_paired() -> None:
    assert figures.ratio_of_medians(Spread((1.0, 2.0, 30.0)), Spread((8.0,))).values == (0.25,)


def test_steps() -> None:
    assert figures.steps([108.0, 135.0, 163.0]) == [27.0, 28.0]


@pytest.mark.parametrize(
    ("value", "at_least", "met"), [(0.85, True, True), (0.84, True, False), (0.85, False, True), (0.86, False, False)]
)
def test_a_goal_is_met_at_its_bound_and_beyond(value: float, at_least: bool, met: bool) -> None:
    assert Goal("it", Spread((value,)), 0.85, at_least=at_least).met is met


def test_a_figure_without_a_goal_is_neither_met_nor_missed() -> None:
    goal = Goal("it", Spread((1.0,)))
    assert goal.met is None
    assert goal.clear
    assert goal.wanted == ""


def test_a_goal_tells_when_its_rounds_disagree() -> None:
    assert Goal("it", Spread((0.9, 0.86, 0.9)), 0.85, at_least=True).clear
    assert not Goal("it", Spread((0.9, 0.8, 0.9)), 0.85, at_least=True).clear


def series(per_second: float, fault: str = "") -> Series:
    return Series([per_second] * 3, [1.0] * 3, faults=[fault] if fault else [])


def test_goals_are_judged_by_what_was_measured_and_no_other() -> None:
    assert Findings().goals() == []
    assert [goal.met for goal in Findings({"kiln": series(900), "tutorial": series(15)}).goals()] == [True]
    found = Findings(
        {"kiln": series(800), "nginx": series(744), "bare": series(1000), "tutorial": series(15)},
        starts={"litert": Spread((0.5, 0.6, 0.4)), "keras": Spread((8.0, 6.0))},
        memory={2: Spread((108.0,)), 3: Spread((135.0,)), 4: Spread((163.0,))},
    )
    verdicts = {goal.name: goal.met for goal in found.goals()}
    assert verdicts == {
        "answers: Kiln / bare loop": False,
        "CPU time of an answer: bare loop / Kiln": None,
        "answers: behind nginx / Kiln alone": True,
        "answers: Kiln / tutorial stack": True,
        "start": True,
        "start: litert / keras": True,
        "memory of 2 workers": True,
        "memory of each further worker": True,
    }


def test_an_invalid_result_says_so() -> None:
    findings = Findings({"kiln": series(800, "6824 answers were not 2xx, 0 socket errors")})
    assert findings.faults() == ["kiln is not valid: 6824 answers were not 2xx, 0 socket errors"]


def test_kiln_cannot_beat_the_model_that_it_serves() -> None:
    assert Findings({"kiln": series(1000), "bare": series(1000)}).faults() == []
    faults = Findings({"kiln": series(2000), "bare": series(1000)}).faults()
    assert faults == ["Kiln / bare loop is not valid: 2.00 in one round. Others took the machine."]


def test_findings_become_json_and_tables() -> None:
    findings = Findings(
        {"kiln": series(800), "bare": series(1000)}, stages={"decode": Spread((0.49,))}, memory={2: Spread((108.0,))}
    )
    findings.memory |= {3: Spread((135.0,)), 4: Spread((163.0,))}
    data = json.loads(json.dumps(findings.to_json()))
    assert data["throughput"]["kiln"]["per_second"] == [800, 800, 800]
    assert data["goals"][0]["wanted"] == "≥ 0.85"
    console = Console(file=io.StringIO(), width=120)
    report.findings(console, findings.series, findings.stages, findings.starts, findings.memory)
    report.goals(console, findings.goals(), ["kiln is not valid: [odd]"])
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for piece in ("800 (800–800)", "0.490", "108 MB", "not met", "[odd]"):
        assert piece in text


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--seconds", "1.5"], ["--only", "everything"]])
def test_options_that_make_no_sense(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize("how", [["--only", "stages"], ["--peers", "tutorial"]])
@pytest.mark.parametrize(
    ("file", "said"), [("nowhere/x.json", "there is no folder"), ("", "is a folder"), ("a-file/x.json", "no folder")]
)
def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: list[str], file: str, said: str
) -> None:
    (tmp_path / "a-file").touch()
    assert bench.main([*how, "--json", str(tmp_path / file)]) == 1
    printed = capsys.readouterr().out
    assert said in printed
    assert "CPU" not in printed  # of the machine, which is told first


def test_every_file_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--peers", "--json", str(tmp_path), "--markdown", str(tmp_path / "none" / "x.md")]) == 1
    printed = capsys.readouterr().out
    assert f"{tmp_path} cannot be written: it is a folder" in printed
    assert f"there is no folder {tmp_path / 'none'}" in printed


def test_switches_are_judged_by_their_slowest_answer_and_what_memory_became() -> None:
    found = Findings(
        switches=switches.Findings(
            peace_ms=[10.0, 11.0, 30.0],
            switching_ms=[10.0, 10.0, 49.0],
            seconds=[1.0, 6.0],
            memory_mb=[100.0, 104.0, 120.0, 120.0],
        )
    )
    met = {goal.name: goal.met for goal in found.goals()}
    assert met == {
        "versions switch: slowest answer / median": True,
        "the same in peace": None,
        "versions switch: time to reach every worker": False,
        "memory after 2 switches / before": False,
    }
    assert found.faults() == []
    assert found.switches is not None
    found.switches.failures.append("503")
    assert found.faults() == ["1 requests failed while versions switched: 503"]
    json.dumps(found.to_json())


def test_large_networks_are_held_to_both_goals() -> None:
    series = zoo.Series("onnx", [10.0, 20.0], [20.0, 34.0], [38.0, 68.0], [36.0, 60.0], [36.0, 54.0])
    found = Findings(zoo={"ResNet50": series})
    engine, service, decoded = found.goals()
    assert (engine.name, engine.figure.values, engine.met) == ("ResNet50: onnx / tf.function", (2.0, 1.7), True)
    assert service.figure.values == pytest.approx((36 / 38, 54 / 68))
    assert (service.met, service.clear) == (False, False)
    assert decoded.figure.values == pytest.approx((1, 0.9))
    console = Console(file=io.StringIO(), width=80)
    report.zoo(console, found.zoo)
    assert "15 (10–20)" in console.file.getvalue()
    assert json.loads(json.dumps(found.to_json()))["zoo"]["ResNet50"]["service"] == [36, 54]


def test_large_networks_without_wrk_are_judged_without_the_service() -> None:
    series = zoo.Series("onnx", [10.0], [20.0], [38.0], [36.0])
    assert [goal.name for goal in series.goals("ResNet50")] == ["ResNet50: onnx / tf.function"]
    report.zoo(Console(file=io.StringIO()), {"ResNet50": series})


def test_the_ways_to_post_a_picture() -> None:
    ways = {
        forms.RAW: asking.Series([100.0, 110.0], [1.7, 1.7]),
        "form": asking.Series([98.0, 99.0], [1.8, 1.8], ["2 answers were not 2xx"]),
    }
    found = Findings(forms=forms.Findings(ways))
    assert {goal.name: goal.figure.values for goal in found.goals()} == {"form / raw body": (0.98, 0.9)}
    assert found.faults() == ["form is not valid: 2 answers were not 2xx"]
    output = io.StringIO()
    report.forms(Console(file=output, width=200), found.forms)
    assert "1.80" in output.getvalue()
    assert json.loads(json.dumps(found.to_json()))["forms"]["ways"]["form"]["per_second"] == [98.0, 99.0]


def test_the_forms_of_a_request() -> None:
    asked = {
        "picture": asking.Series([100.0, 110.0], [10.0, 9.0]),
        "base64": asking.Series([95.0, 99.0], [10.5, 10.0]),
        "binary": asking.Series([120.0, 121.0], [10.0, 8.0]),
        "json": asking.Series([60.0, 55.0], [20.0, 20.0]),
        "rounded json": asking.Series([61.0, 56.0], [19.0, 19.0]),
        "binary, small model": asking.Series([120.0, 121.0], [10.0, 8.0]),
        "json, small model": asking.Series([40.0, 11.0], [30.0, 30.0], ["3 answers were not 2xx"]),
    }
    found = Findings(dialects=dialects.Findings(asked, 1.0))
    figures = {goal.name: goal.figure.values for goal in found.goals()}
    assert figures["V2: binary tensor / JSON"] == (2.0, 2.2)
    assert figures["both to the small model"] == (3.0, 11.0)
    assert figures["V2: CPU of a picture without decoding / binary tensor"] == (0.9, 1.0)
    assert figures[":predict with base64 / the picture itself"] == (0.95, 0.9)
    assert found.faults() == ["json, small model is not valid: 3 answers were not 2xx"]
    output = io.StringIO()
    report.dialects(Console(file=output, width=200), found.dialects)
    assert "1.00 ms" in output.getvalue()
    assert json.loads(json.dumps(found.to_json()))["dialects"]["decode_ms"] == 1.0
