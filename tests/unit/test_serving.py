"""serving.json: what it may say, every problem at once, and how it is changed."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import serving
from model.errors import BadServing
from model.policy import Policy
from model.serving import Serving
from model.split import Split

pytestmark = pytest.mark.unit


def written(folder: Path, data: Any) -> Path:
    (folder / serving.FILE).write_text(data if isinstance(data, str) else json.dumps(data))
    return folder


def test_without_a_file_the_newest_version_is_served(tmp_path: Path) -> None:
    assert serving.read(tmp_path) == Serving(labels={}, policy=Policy(newest=1), split={})


def test_all_that_it_may_say(tmp_path: Path) -> None:
    data = {"labels": {"stable": "2", "canary": "3"}, "versions": "newest 2", "split": {"stable": 95, "canary": 5}}
    found = serving.read(written(tmp_path, data))
    assert found.labels == {"stable": "2", "canary": "3"}
    assert found.policy.wanted(["1", "2", "10"]) == {"10", "2"}
    assert found.split == {"stable": 95, "canary": 5}
    assert found.to_json() == data


def test_a_model_that_was_unloaded_keeps_what_is_declared(tmp_path: Path) -> None:
    data = {"labels": {"stable": "2"}, "versions": "all", "served": False}
    found = serving.read(written(tmp_path, data))
    assert not found.served
    assert found.to_json() == data
    after = serving.change(tmp_path, lambda before: before._replace(served=True))
    assert after == serving.read(tmp_path) == found._replace(served=True)
    assert json.loads((tmp_path / serving.FILE).read_text()) == {"labels": {"stable": "2"}, "versions": "all"}
    with pytest.raises(BadServing, match="served must be true or false"):
        serving.read(written(tmp_path, {"served": 0}))


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [("newest 1", {"10"}), ("newest 9", {"1", "2", "10"}), ("all", {"1", "2", "10"}), (["2", "7"], {"2"})],
)
def test_policies(policy: Any, wanted: set[str]) -> None:
    assert Policy.from_json(policy).wanted(["1", "2", "10"]) == wanted
    assert Policy.from_json(policy).to_json() == policy


@pytest.mark.parametrize("policy", ["newest", "newest 0", "newest -1", "latest", "", 1, None, [], ["x"], [1], ["01"]])
def test_other_policies_are_refused(policy: Any) -> None:
    with pytest.raises(ValueError, match="newest N"):
        Policy.from_json(policy)


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    data = {
        "labels": {"stable": 2, "3": "3", "ok": "x"},
        "versions": "newest",
        "split": {"stable": 90, "beta": 5},
        "policy": "all",
    }
    with pytest.raises(BadServing) as caught:
        serving.read(written(tmp_path, data))
    for part in (
        "unknown key 'policy'",
        "label '3' must start with a letter",
        "label 'stable' must name a version",
        "label 'ok' must name a version",
        'versions must be "newest N"',
        "split names 'beta'",
        "split must add up to 100 percent, not 95",
    ):
        assert part in caught.value.message


@pytest.mark.parametrize(
    "data",
    ["", "{", "[]", "null", "[" * 100_000, {"labels": []}, {"split": []}, {"split": {"1": 50, "2": "50"}},
     {"split": {"1": True, "2": 99}}, {"split": {"1": 101, "2": -1}}],
)  # fmt: skip
def test_what_is_not_right_is_refused(tmp_path: Path, data: Any) -> None:
    with pytest.raises(BadServing):
        serving.read(written(tmp_path, data))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["labels", "versions", "split", "x"]), _json))
def test_any_json_is_taken_or_refused_clearly(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = written(tmp_path_factory.mktemp("any", numbered=True), data)
    with contextlib.suppress(BadServing):
        assert isinstance(serving.read(folder), Serving)


def test_writers_take_turns_and_readers_see_whole_files(tmp_path: Path) -> None:
    def add(label: str) -> None:
        serving.change(tmp_path, lambda before: before._replace(labels={**before.labels, label: "1"}))

    threads = [threading.Thread(target=add, args=(f"label{number}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        serving.read(tmp_path)
    assert len(serving.read(tmp_path).labels) == 16
    assert [path.name for path in tmp_path.iterdir()] == [serving.FILE]


def test_a_change_that_would_not_be_right_changes_nothing(tmp_path: Path) -> None:
    written(tmp_path, {"labels": {"stable": "1"}})
    with pytest.raises(BadServing, match="must name a version"):
        serving.change(tmp_path, lambda before: Serving(labels={"stable": "one"}))
    assert serving.read(tmp_path).labels == {"stable": "1"}


# --- Split


def test_clients_are_spread_by_the_percentages_and_stick() -> None:
    split = Split("pets", [("stable", 95), ("canary", 5)])
    got = [split.choose(f"10.0.{number // 256}.{number % 256}") for number in range(20_000)]
    assert Counter(got)["canary"] == pytest.approx(1000, rel=0.15)
    assert got == [split.choose(f"10.0.{number // 256}.{number % 256}") for number in range(20_000)]


def test_a_larger_canary_keeps_its_clients() -> None:
    small, large = (Split("pets", [("stable", 100 - part), ("canary", part)]) for part in (5, 20))
    clients = [str(number) for number in range(5000)]
    assert {c for c in clients if small.choose(c) == "canary"} < {c for c in clients if large.choose(c) == "canary"}


@pytest.mark.parametrize(
    ("split", "order"),
    [
        ({"canary": 10, "stable": 90}, ["stable", "canary"]),
        ({"canary": 10, "beta": 10, "10": 20, "9": 20, "stable": 40}, ["stable", "9", "10", "beta", "canary"]),
    ],
)
def test_who_gets_what_does_not_depend_on_the_order_in_the_file(split: dict[str, int], order: list[str]) -> None:
    for items in itertools.permutations(split.items()):
        assert Serving(split=dict(items)).shares() == [(key, split[key]) for key in order]


def test_a_canary_that_grows_sends_nobody_back_to_stable() -> None:
    clients, before = [str(number) for number in range(2000)], set(map(str, range(2000)))
    for part in (100, 60, 20, 5):
        split = Split("pets", Serving(split={"canary": part, "stable": 100 - part}).shares())
        canary = {client for client in clients if split.choose(client) == "canary"}
        assert canary <= before
        before = canary


def test_the_clients_of_one_canary_are_not_those_of_another() -> None:
    one, other = (Split(name, [("stable", 50), ("canary", 50)]) for name in ("pets", "cars"))
    same = sum(one.choose(str(number)) == other.choose(str(number)) for number in range(4000))
    assert same == pytest.approx(2000, rel=0.1)


def test_clients_without_a_name_are_spread_too() -> None:
    split = Split("pets", [("stable", 50), ("canary", 50)])
    assert {split.choose("") for _ in range(200)} == {"stable", "canary"}
    assert {Split("pets", [("stable", 100), ("canary", 0)]).choose("") for _ in range(50)} == {"stable"}


@given(st.text())
def test_any_client_is_given_a_share(client: str) -> None:
    assert Split("pets", [("a", 50), ("b", 50)]).choose(client) in ("a", "b")
