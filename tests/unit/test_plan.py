"""The arithmetic of capacity and cost, against figures that were published and figures worked out by hand."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from loadtest.load.format import FORMAT, VERSION
from loadtest.plan import arithmetic, measured, plot, profiles, verdicts
from loadtest.plan.__main__ import main
from loadtest.plan.arithmetic import Prices
from loadtest.plan.verdicts import Fleet
from loadtest.processes import ROOT, Failed

pytestmark = pytest.mark.unit

# Ten machines' worth at the peak, three in the mean. 3/70 of the time is at the peak, so that a tenth of all compute
# is above three machines' worth.
CAPACITY = 100.0
RATES = [1000.0] * 3 + [(300 * 70 - 1000 * 3) / 67] * 67
PUBLISHED = Prices(reserved=219, on_demand=219, balancer=526.52, base=246.27, use=2 * 446.4)


def test_the_published_comparison() -> None:
    fluid: dict[str, Any] = {"whole": False}
    assert arithmetic.mean_use(RATES, CAPACITY) == pytest.approx(3)
    assert arithmetic.beyond(RATES, CAPACITY, 3) == pytest.approx(0.3)
    assert arithmetic.always_on(RATES, CAPACITY, PUBLISHED, **fluid).a_month == pytest.approx(2716.52)
    assert arithmetic.autoscaled(RATES, CAPACITY, 0.5, PUBLISHED, **fluid).a_month == pytest.approx(1840.52)
    cost_sensitive = arithmetic.autoscaled(RATES, CAPACITY, 0.7, PUBLISHED, **fluid).a_month
    assert cost_sensitive == pytest.approx(1465.09, abs=0.005)


def test_the_published_serverless_mix_took_the_base_price_without_its_cents() -> None:
    assert arithmetic.serverless(RATES, CAPACITY, PUBLISHED, provisioned=3).a_month == pytest.approx(1006.65)
    assert arithmetic.serverless_cost(3, 0.3, base=246, use=892.8) == pytest.approx(1005.84)


def test_the_published_comparison_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "profile.csv"
    text = (ROOT / "docs" / "capacity.md").read_text()
    level = re.search(r"\(1000 and ([0-9.]+) requests a second where a machine manages 100\)", text)
    assert level is not None
    rates = [1000] * 3 + [float(level[1])] * 67
    profile.write_text("minute,rate\n" + "".join(f"{minute},{rate}\n" for minute, rate in enumerate(rates)))
    status = main(
        [
            *("--capacity", "100", "--profile", str(profile), "--instance", "c5.large:2:219", "--min", "0"),
            *("--balancer", "526.52", "--serverless", "246.27:892.8", "--base", "3", "--fractional"),
            *("--plot", str(tmp_path / "plan.png")),
        ]
    )
    printed = capsys.readouterr().out
    assert status == 0
    for total in ("2,716.52", "1,840.52", "1,465.09", "1,006.65"):
        assert total in printed
    assert "26 % would be in time, at\n3053.45" in text
    assert "as advised, at 26%" in printed
    assert "3,053.45" in printed
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("rate", "level", "least", "machines"),
    [(0, 1, 0, 0), (0, 1, 2, 2), (100, 1, 0, 1), (101, 1, 0, 2), (300, 0.5, 0, 6), (300, 0.7, 0, 5), (70, 0.7, 0, 1)],
)
def test_machines_are_whole_and_never_too_few(rate: float, level: float, least: int, machines: int) -> None:
    assert arithmetic.machines_for(rate, 100, level, least=least) == machines


def test_what_always_runs_is_reserved_and_the_rest_on_demand() -> None:
    # At 50 %: 2 machines for three hours, 4 for one.
    way = arithmetic.autoscaled([100, 100, 100, 200], 100, 0.5, Prices(reserved=10, on_demand=20, balancer=5))
    assert way.machines == 2.5
    assert way.a_month == 2 * 10 + 0.5 * 20 + 5


def test_no_base_is_cheaper_than_the_cheapest() -> None:
    rates = profiles.shaped("day", 1000, 0.3).rates
    best = arithmetic.serverless(rates, 100, PUBLISHED).a_month
    for tenth in range(101):
        assert arithmetic.serverless(rates, 100, PUBLISHED, provisioned=tenth / 10).a_month >= best - 1e-6
    assert arithmetic.cheapest_base(rates, 100, base=1, use=0.5) == 0
    assert arithmetic.cheapest_base(rates, 100, base=0, use=1) == 10
    year = [float(minute) for minute in range(365 * 24 * 60)]  # each rate another one
    assert arithmetic.cheapest_base(year, 1, base=1, use=4) == pytest.approx(len(year) * 3 / 4, rel=1e-4)


# One machine manages 100. In ten minutes the load rises from 200 to 400, and in ten more it is back.
RISE = arithmetic.moments([200, 400], 10, 5)


def test_moments_are_of_a_load_that_changes_evenly_and_repeats_itself() -> None:
    assert arithmetic.Moment(400, 300) in RISE
    assert arithmetic.Moment(300, 200) in RISE
    assert arithmetic.Moment(200, 300) in RISE
    assert {now.rate for now in arithmetic.moments([50], 1440, 3)} == {50}
    assert arithmetic.Moment(200, 400) in arithmetic.moments([200, 400, 200], 1, 1)
    assert arithmetic.Moment(400, 400) in arithmetic.moments([200, 400], 1, 2)  # longer than a step
    assert len(arithmetic.moments([1.0, 2.0], 1e12, 1e-9)) < 100_000


def test_machines_are_too_late_where_the_load_outgrows_those_wanted_before() -> None:
    # At 300 those are there that were wanted at 200.
    assert arithmetic.too_late(RISE, 100, 2 / 3, whole=False) is None
    assert arithmetic.too_late(RISE, 100, 0.8, whole=False) == arithmetic.Shortfall(300, 2.5)
    assert arithmetic.too_late(RISE, 100, 0.8, least=4) is None


def test_one_lost_leaves_one_machine_less_than_is_wanted() -> None:
    steady = arithmetic.moments([300], 1440, 3)
    assert arithmetic.one_lost(steady, 100, 0.75, whole=False) is None  # 4 machines
    assert arithmetic.one_lost(steady, 100, 0.8, whole=False) == arithmetic.Shortfall(300, 2.75)
    assert arithmetic.one_lost(steady, 100, 0.8) is None  # also 4, as there are no parts
    assert arithmetic.one_lost(steady, 100, 1.0) == arithmetic.Shortfall(300, 2)
    assert arithmetic.one_lost(arithmetic.moments([50], 1440, 3), 100, 0.5) == arithmetic.Shortfall(50, 0)


@pytest.mark.parametrize(
    ("rates", "options", "level"),
    [
        ([2000], {}, arithmetic.CEILING),  # nothing but the margin for noise
        ([300], {"whole": False}, 0.75),  # a quarter may fail
        ([150], {"least": 2}, 0.74),  # three machines; at 75 % there are two
        ([200, 2000], {"whole": False}, 0.18),  # 1100 where there was 200
        ([200, 2000], {"whole": False, "least": 21}, arithmetic.CEILING),  # they are there beforehand
        ([50], {}, 0.49),  # two machines; at 50 % there is one
        ([0, 2000], {}, None),
    ],
)
def test_the_scale_out_level_keeps_time_a_reserve_and_a_margin(
    rates: list[float], options: dict[str, Any], level: float | None
) -> None:
    load = arithmetic.moments(rates, 10, 5)
    assert arithmetic.scale_out_level(load, 100, **options) == level


@pytest.mark.parametrize("name", profiles.NAMES)
@pytest.mark.parametrize("least", [0, 2, 4])
def test_every_level_up_to_the_advised_one_holds_and_none_above_it(name: str, least: int) -> None:
    profile = profiles.shaped(name, 2000, 0.3)
    load = arithmetic.moments(profile.rates, profile.minutes, 3)
    fleet = Fleet(load, 300, ready=3, least=least, whole=True)
    advised = arithmetic.scale_out_level(load, 300, least=least)
    for percent in range(1, 81):
        assert bool(verdicts.at_level(percent / 100, fleet)) == (advised is None or percent / 100 > advised)


@pytest.mark.parametrize("name", ["day", "spikes"])
@pytest.mark.parametrize("mean", [0.06, 0.3, 0.9])
def test_a_shape_has_the_peak_and_the_mean_that_were_asked_for(name: str, mean: float) -> None:
    profile = profiles.shaped(name, 2000, mean)
    assert max(profile.rates) == pytest.approx(2000)
    assert min(profile.rates) >= 0
    assert statistics.fmean(profile.rates) == pytest.approx(mean * 2000, rel=1e-3)
    assert len(profile.rates) * profile.minutes == 24 * 60


def test_a_constant_load_is_at_its_peak() -> None:
    assert profiles.shaped("constant", 50, 0.3).rates == (50,)


def test_a_profile_of_ones_own_is_scaled_to_the_peak(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("minute,rate\n0,10\n30,20\n60,5\n")
    assert profiles.from_csv(file, None) == profiles.Profile("mine.csv", (10, 20, 5), 30)
    assert profiles.from_csv(file, 200).rates == (100, 200, 50)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_are_separated_as_spreadsheets_do_it(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "mine.csv"
    lines = (["minute", "rate"], ["0", "10.5"], ["30", "20"])
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(map(separator.join, lines)).encode())
    assert profiles.from_csv(file, None).rates == (10.5, 20)


@pytest.mark.parametrize("decimals", [2, 3, 6])
def test_minutes_may_be_rounded(tmp_path: Path, decimals: int) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("minute,rate\n" + "".join(f"{sample / 3:.{decimals}f},{sample}\n" for sample in range(10)))
    assert profiles.from_csv(file, None) == profiles.Profile("mine.csv", tuple(range(10)), pytest.approx(1 / 3))


def test_a_profile_that_is_neither_a_name_nor_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--capacity", "100", "--profile", "spike", *PLAN]) == 1
    printed = capsys.readouterr().err
    assert "--profile spike: there is no file" in printed
    assert "constant, day, spikes" in printed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("minute rate\n0 1\n", "with a comma, a semicolon or a tab between them"),
        ("minute;rate\n0;10,5\n30;20\n", "line 2 has no two numbers; write 10.5 for 10,5"),
        ("", "first line must be"),
        ("a,b\n1,2\n", "first line must be"),
        ("minute,rate\n0,1\n", "at least two lines"),
        ("minute,rate\n0,1\n5,x\n10,-1\n", "line 3 has no two numbers; line 4"),
        ("minute,rate\n0,1\n5,nan\n", "line 3"),
        (
            'minute,rate\n0,"1,000"\n',
            "line 2 has no two numbers; for 1,000 write 1000, or 1.000 if the comma is a decimal",
        ),
        ('minute,rate\n0,"1,000,000"\n', "write 1000000 for 1,000,000"),
        ('minute,rate\n0,"1,000.5"\n', "write 1000.5 for 1,000.5"),
        ("minute;rate\n0;1.000,5\n", "write 1000.5 for 1.000,5"),
        ("minute;rate\n0,333;1\n", "write 0.333 for 0,333"),
        ("minute,rate\n0,1,000\n5,2,000\n", "line 2 has more cells than the first line"),
        ("minute,rate\n0,1\n1,1\n2,1\n\n4,1\n", "line 6: minutes must rise in equal steps; here by 2, .* by 1"),
        ("minute,rate\n0.333,1\n0.667,1\n1.333,1\n1.667,1\n", "line 4: .* here by 0.666"),
        ("minute,rate\n0,1\n5,1\n6,1\n", "equal steps"),
        ("minute,rate\n5,1\n0,1\n", "equal steps"),
        ("minute,rate\n0,0\n5,0\n", "every rate is 0"),
        ("minute,rate\n0,1e308\n5,1e308\n", "line 2: minute and rate must be numbers up to"),
    ],
)
def test_a_profile_with_mistakes(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(text)
    with pytest.raises(Failed, match=problem):
        profiles.from_csv(file, None)


def point(users: int, per_second: float, p99_ms: float, cpu: float | None, *faults: str) -> dict[str, Any]:
    return {
        "users": users,
        "per_second": {"median": per_second},
        "p99_ms": {"median": p99_ms},
        "cpu": None if cpu is None else {"median": cpu},
        "faults": list(faults),
    }


HEAD = {"format": FORMAT, "version": VERSION, "cores": 2, "warnings": ["others use this machine"]}


def report(folder: Path, *points: dict[str, Any], **changes: Any) -> Path:
    file = folder / "report.json"
    file.write_text(json.dumps({**HEAD, "points": points, **changes}))
    return file


LADDER = (point(1, 100, 10, 0.3), point(2, 190, 12, 0.6), point(5, 290, 32, 0.9), point(10, 300, 60, 1.0))


@pytest.mark.parametrize(
    ("p99", "rate", "cpu"), [(10, 100, 0.3), (12, 190, 0.6), (22, 240, 0.75), (60, 300, 1.0), (5000, 300, 1.0)]
)
def test_capacity_is_the_highest_rate_within_the_target(tmp_path: Path, p99: float, rate: float, cpu: float) -> None:
    found = measured.read(report(tmp_path, *LADDER), p99)
    assert (found.rate, found.cpu, found.cores) == (pytest.approx(rate), pytest.approx(cpu), 2)


def test_points_with_errors_and_without_cpu(tmp_path: Path) -> None:
    points = (point(1, 100, 10, None), point(2, 190, 12, None, "3 errors"))
    found = measured.read(report(tmp_path, *points), 50)
    assert (found.rate, found.cpu, found.warnings) == (100, None, ("others use this machine",))
    assert "at 1 user with a p99" in found.bound


@pytest.mark.parametrize("p99", [10, 32, 40, 60])
def test_a_target_that_was_reached_bounds_the_capacity(tmp_path: Path, p99: float) -> None:
    assert measured.read(report(tmp_path, *LADDER), p99).bound == ""


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (LADDER, "at 10 users with a p99 of 60 ms.*300 ms.*more users: ./kiln load --users 10,20,40,80$"),
        ((point(50, 290, 8, 0.4),), "p99 of 8 ms.*--users 50,100,200,400,800$"),
        (
            (*LADDER, point(20, 310, 70, 1.0, "7 x status 503")),
            r"20 users had faults \(7 x status 503\): measure between",
        ),
        ((*LADDER, point(20, 310, 700, 1.0, "7 x status 503")), "at 10 users.*20 users had faults"),
        ((*LADDER, point(20, 290, 90, 1.0)), "at 20 users with a p99 of 90 ms"),
        ((point(1, 10, 500, 0.1), *LADDER[1:]), "at 10 users"),  # a cold start is no end of the ladder
    ],
)
def test_a_ladder_that_ended_before_the_target_is_a_lower_bound(
    tmp_path: Path, points: tuple[dict[str, Any], ...], said: str
) -> None:
    bound = measured.read(report(tmp_path, *points), 300).bound
    assert bound.startswith("Capacity is a lower bound")
    assert re.search(said, bound), bound


def test_no_cpu_at_all_is_no_measurement(tmp_path: Path) -> None:
    assert measured.read(report(tmp_path, point(1, 100, 10, 0.0)), 50).cpu is None


PLAN = ("--peak", "2000", "--instance", "c5.large:2:219")


def test_a_plan_from_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--report", str(report(tmp_path, *LADDER)), "--p99", "300", "--min", "2", *PLAN]) == 0
    printed = capsys.readouterr().out
    assert "at least 300 requests a second, p99 within 300 ms" in printed
    assert "Capacity is a lower bound" in printed
    assert "7 for 2,000 requests a second, at least 2; fewer may do" in printed
    assert "p99 is at its target" not in printed
    assert "1,533.00" in printed  # 7 x 219
    assert "others use this machine" in printed


def plan(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """The plan as JSON."""
    assert main([*arguments, "--json", str(tmp_path / "plan.json")]) == 0
    found: dict[str, Any] = json.loads((tmp_path / "plan.json").read_text())
    return found


def test_ways_that_come_too_late_are_marked_and_not_recommended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = tmp_path / "profile.csv"
    rates.write_text("minute,rate\n" + "".join(f"{minute},{1000 if minute < 3 else 300}\n" for minute in range(70)))
    instance = ("--instance", "c5.large:2:219")
    found = plan(tmp_path, "--capacity", "100", "--profile", str(rates), *instance, "--fractional")
    ways = {way["name"]: way for way in found["ways"]}
    for level in ("latency-sensitive, at 50%", "cost-sensitive, at 70%", "cost-sensitive, at 80%"):
        assert not ways[level]["holds"]
        assert "too late" in ways[level]["faults"]
        assert ways[level]["a_month"] < ways[found["cheapest_that_holds"]]["a_month"]
    assert found["scale_out_level"] == 0.3
    assert ways["as advised, at 30%"]["holds"]
    assert found["cheapest_that_holds"] == "always on, 1 to spare"
    printed = " ".join(capsys.readouterr().out.split())
    assert "latency-sensitive, at 50%: too late: the load is at 1,000 requests a second when" in printed
    assert "Cheapest that holds: always on, 1 to spare, 2,409.00." in printed
    in_time = plan(tmp_path, "--capacity", "100", "--profile", str(rates), *instance, "--ready", "0.1")
    assert in_time["scale_out_level"] > 0.5


def test_a_level_is_given_of_capacity_and_of_the_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = (point(1, 100, 10, 0.3), point(2, 300, 60, 0.9))
    arguments = ("--report", str(report(tmp_path, *points)), "--p99", "300", *PLAN)
    found = plan(tmp_path, *arguments)
    assert found["scale_out_level"] == 0.5  # two run at least, and one of them may fail
    assert found["capacity_is_a_lower_bound"]
    printed = " ".join(capsys.readouterr().out.split())
    assert "at 50% of capacity at the latest (45% CPU; the highest rate that was measured is at 90%)" in printed
    reached = (*arguments[:2], "--p99", "60", *PLAN)
    assert not plan(tmp_path, *reached)["capacity_is_a_lower_bound"]
    assert "(45% CPU; capacity is at 90%)" in " ".join(capsys.readouterr().out.split())
    assert "cost-sensitive, at 70% 63%" in printed
    assert plan(tmp_path, *arguments, "--min", "4")["scale_out_level"] == 0.75


def test_no_level_is_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(tmp_path, "--capacity", "100", "--min", "0", "--profile", "spikes", "--mean", "0.0417", *PLAN)
    assert found["scale_out_level"] is None
    assert "at no level" in found["facts"]["Scale out"]
    assert "Keep more running: --min" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("changes", "p99", "message"),
    [
        ({}, "9", "cannot be met: the lowest measured is 10.0 ms"),
        ({"points": [point(1, 90, 2.9, None, "7 x status 429")]}, "300", "1 user: 7 x status 429"),
        ({"version": 99}, "300", "version 99; this one reads version"),
        ({"format": "other"}, "300", "no report of ./kiln load"),
        ({"points": [{}]}, "300", "is damaged"),
        ({"points": 7}, "300", "is damaged"),
        ({"cores": 0}, "300", "is damaged"),
        ({"cores": float("inf")}, "300", "is damaged"),
        ({"points": [point(1, 0, 10, None)]}, "300", "is damaged"),
        ({"points": [point(1, -5, 10, None)]}, "300", "is damaged"),
        ({"points": [point(1, float("nan"), 10, None)]}, "300", "is damaged"),
        ({"points": [{**point(1, 5, 10, None), "per_second": {"median": "many"}}]}, "300", "is damaged"),
        ({"points": [{**point(1, 5, 10, None), "faults": [1]}]}, "300", "is damaged"),
        ({"points": []}, "300", "no point with answers"),
        ({"points": [{"users": 1, "p99_ms": None}]}, "300", "no point with answers"),
    ],
)
def test_a_report_that_gives_no_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], p99: str, message: str
) -> None:
    assert main(["--report", str(report(tmp_path, *LADDER, **changes)), "--p99", p99, *PLAN]) == 1
    assert message in capsys.readouterr().err


def test_a_report_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--report", str(tmp_path / "none.json"), *PLAN]) == 1
    assert "cannot be read as a report" in capsys.readouterr().err


def test_prices_that_look_swapped_are_doubted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--capacity", "100", "--peak", "2000", "--instance")
    [warning] = plan(tmp_path, *arguments, "c5.large:2:446.4:219")["warnings"]
    assert "on demand 219 is cheaper than reserved 446.4. Are they swapped?" in warning
    assert "Are they swapped?" in " ".join(capsys.readouterr().out.split())
    assert plan(tmp_path, *arguments, "c5.large:2:219:446.4")["warnings"] == []


def test_options_that_do_not_go_together_are_all_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capacity = ("--capacity", "100", "--instance", "c5.large:2:219")
    assert main([*capacity, "--base", "3", "--mean", "0.3", "--profile", "constant", "--p99", "300"]) == 1
    printed = capsys.readouterr().err
    for problem in (
        "--base is a part of --serverless",
        "constant has its own",
        "--p99 is looked up",
        "--peak is needed",
    ):
        assert problem in printed
    assert main([*capacity, "--profile", "mine.csv", "--mean", "0.3"]) == 1
    assert "mine.csv has its own" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--capacity", "0", *PLAN],
        ["--capacity", "nan", *PLAN],
        ["--capacity", "1e-300", "--peak", "1e300", "--instance", "c5.large:2:219"],
        ["--capacity", "100", "--min", "1" + 400 * "0", *PLAN],
        ["--capacity", "100", "--peak", "2000", "--instance", "c5.large"],
        ["--capacity", "100", "--peak", "2000", "--instance", "c5.large:0:219"],
        ["--capacity", "100", "--serverless", "246", *PLAN],
        ["--capacity", "100", "--min", "-1", *PLAN],
    ],
)
def test_options_that_make_no_sense(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize(("option", "name"), [("plot", "none/plan.png"), ("plot", "plan.txt"), ("json", "none/a.json")])
def test_files_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, name: str
) -> None:
    assert main(["--capacity", "100", f"--{option}", str(tmp_path / name), *PLAN]) == 1
    printed = capsys.readouterr()
    assert f"{tmp_path / name}" in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_the_name_of_a_plot_without_an_ending_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--capacity", "100", "--plot", str(tmp_path / "plain"), *PLAN]) == 0
    assert f"Written: {tmp_path / 'plain.png'}" in capsys.readouterr().out.replace("\n", "")
    assert [file.name for file in tmp_path.iterdir()] == ["plain.png"]


@pytest.mark.parametrize(
    ("minutes", "unit", "labels"),
    [
        (70, "minutes", ["0", "10", "20", "30", "40", "50", "60", "70"]),
        (24 * 60, "hours", ["0", "3", "6", "9", "12", "15", "18", "21", "24"]),
        (7 * 24 * 60, "days", ["0", "1", "2", "3", "4", "5", "6", "7"]),
    ],
)
def test_time_has_a_unit_that_gives_whole_numbers(minutes: float, unit: str, labels: list[str]) -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    plot._times(axes, minutes)
    figure.draw_without_rendering()
    shown = [tick.label1.get_text() for tick in axes.xaxis.get_major_ticks() if 0 <= tick.get_loc() <= minutes]
    assert (axes.get_xlabel(), shown) == (unit, labels)


@pytest.mark.parametrize(
    ("steps", "minutes", "group", "said"),
    [
        (288, 5, 1, ""),
        (7 * 1440, 1, 15, ", highest of each 15 minutes"),
        (365 * 1440, 1, 1440, ", highest of each day"),
        (5000, 10080, 5, ", highest of each 35 days"),
    ],
)
def test_a_long_profile_is_drawn_by_its_highest(steps: int, minutes: float, group: int, said: str) -> None:
    assert plot._stretch(profiles.Profile("long", (1.0,) * steps, minutes)) == (group, said)
