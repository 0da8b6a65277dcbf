"""`./kiln models`, as a program, on stores of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model.cli.__main__ import main
from tests import stores
from tests.servers import short_folder

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    for number in ("1", "2", "10"):
        stores.add(folder, number)
    return folder


def run(store: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main([*arguments, "--store", str(store)])
    said = capsys.readouterr()
    return status, said.out, said.err


def run_json(store: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    status, out, _ = run(store, capsys, *arguments, "--json")
    return status, json.loads(out)


def test_list(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stores.corrupt(store / "catdog" / "2")
    assert run(store, capsys, "use", "catdog", "1")[0] == 0
    status, out, _ = run(store, capsys, "list")
    assert status == 0
    head, *rows = out.splitlines()
    assert head.split() == ["MODEL", "VERSION", "STATE", "LABELS", "ENGINE", "SIZE"]
    assert [row.split()[:4] for row in rows[:3]] == [
        ["catdog", "10", "intact", "litert"],
        ["catdog", "2", "bad", "litert"],
        ["catdog", "1", "intact", "stable"],
    ]
    assert "checksum differs" in rows[3]
    _, [model] = run_json(store, capsys, "list")
    assert (model["name"], model["labels"], model["policy"]) == ("catdog", {"stable": "1"}, "newest 1")
    assert [entry["state"] for entry in model["versions"]] == ["intact", "bad", "intact"]


def test_the_list_tells_of_a_label_that_names_no_version_there(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "catdog" / "serving.json").write_text(json.dumps({"labels": {"stable": "9"}}))
    assert "catdog: label 'stable' names version 9, which is not in the store\n" in run(store, capsys)[1]


def test_without_a_command_it_lists(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(store, capsys) == run(store, capsys, "list")
    assert run_json(store, capsys) == run_json(store, capsys, "list")


def test_options_stand_before_the_command_or_behind_it(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = run_json(store, capsys, "inspect", "catdog", "1")[1]
    assert main(["--store", str(store), "--json", "inspect", "catdog", "1"]) == 0
    assert json.loads(capsys.readouterr().out) == expected
    assert main(["--store", "nowhere", "--json", "inspect", "catdog", "1", "--store", str(store)]) == 0
    assert json.loads(capsys.readouterr().out) == expected


def test_the_list_claims_no_more_than_it_looked_at(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It compares checksums; only `verify` asks the engines for their golden answers."""
    stores.lie(store / "catdog" / "2")
    stores.edit(store / "catdog" / "2", lambda data: data["engines"].pop("keras"))
    assert run_json(store, capsys, "inspect", "catdog", "2")[1]["state"] == "intact"
    assert run_json(store, capsys, "verify", "catdog", "2")[1][0]["good"] is False


def test_list_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, capsys, "list")[0] == 0
    assert run_json(tmp_path, capsys, "list") == (0, [])
    status, _, said = run(tmp_path / "nowhere", capsys, "list")
    assert (status, "no store at" in said) == (1, True)


def test_what_cannot_be_read_hides_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with short_folder() as folder:
        folder.chmod(0o755)
        for number in ("1", "2", "10"):
            stores.prepared(folder / "catdog" / number, number)
            stores.edit(folder / "catdog" / number, lambda data: data["engines"].pop("keras"))
        (folder / "backup").mkdir()
        (folder / "pets").symlink_to("pets")
        (folder / "catdog" / "2" / "model.tflite").chmod(0o600)
        assert run(folder, capsys, "verify", "catdog")[0] == 0  # root may, and nobody need not import the engine
        with stores.shut(folder / "backup"), stores.shut(folder / "catdog" / "10"), stores.as_nobody():
            status, found = run_json(folder, capsys)
            _, text, _ = run(folder, capsys)
            _, proven = run_json(folder, capsys, "verify")
            refused = run(folder, capsys, "inspect", "pets")
    assert status == 0
    assert [(model["name"], [one["state"] for one in model["versions"]]) for model in found] == [
        ("backup", []),
        ("catdog", ["bad", "bad", "intact"]),
        ("pets", []),
    ]
    assert "backup: backup cannot be read: Permission denied\n" in text
    assert "catdog: catdog/10 cannot be read: Permission denied\n" in text
    assert "catdog: catdog/2/model.tflite cannot be read: Permission denied\n" in text
    assert "pets: pets cannot be read: Too many levels of symbolic links\n" in text
    assert [(one["model"], one["version"], one["good"]) for one in proven] == [
        ("backup", "", False),
        ("catdog", "10", False),
        ("catdog", "2", False),
        ("catdog", "1", True),
        ("pets", "", False),
    ]
    assert refused == (1, "", f"kiln: {folder / 'pets'}: Too many levels of symbolic links\n")


def test_a_label_that_names_nothing_keeps_no_other_model_from_being_verified(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stores.edit(stores.add(store, "1", name="pets"), lambda data: data["engines"].pop("keras"))
    shutil.rmtree(store / "catdog" / "10")
    shutil.rmtree(store / "catdog" / "2")
    stores.edit(store / "catdog" / "1", lambda data: data["engines"].pop("keras"))
    (store / "catdog" / "serving.json").write_text(json.dumps({"labels": {"stable": "9"}}))
    status, found = run_json(store, capsys, "verify")
    assert (status, [(one["model"], one["good"]) for one in found]) == (0, [("catdog", True), ("pets", True)])


def test_inspect_takes_the_version_that_is_served(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_json(store, capsys, "inspect", "catdog")[1]["version"] == "10"
    run(store, capsys, "use", "catdog", "2")
    status, found = run_json(store, capsys, "inspect", "catdog")
    assert (status, found["version"], found["labels"]) == (0, "2", ["stable"])
    assert found["manifest"]["labels"] == ["v2", "other"]
    assert "preprocessing" in run(store, capsys, "inspect", "catdog", "1")[1]


@pytest.mark.parametrize("damage", [stores.corrupt, stores.lie], ids=lambda damage: damage.__name__)
def test_verify_tells_bad_from_good_by_its_status(store: Path, capsys: pytest.CaptureFixture[str], damage: Any) -> None:
    for number in ("1", "2", "10"):  # Keras would take seconds to import
        stores.edit(store / "catdog" / number, lambda data: data["engines"].pop("keras"))
    status, out, _ = run(store, capsys, "verify")
    assert (status, out.count(": good\n"), out.count("litert: good, differs by")) == (0, 3, 3)
    damage(store / "catdog" / "2")
    status, found = run_json(store, capsys, "verify")
    assert status == 1
    assert [entry["good"] for entry in found] == [True, False, True]
    assert run(store, capsys, "verify", "catdog", "1")[0] == 0
    assert run(store, capsys, "verify", "catdog", "2")[0] == 1


def test_verify_tells_the_tolerance_that_an_engine_is_held_to(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def loosen(data: dict[str, Any]) -> None:
        data["engines"].pop("keras")
        data["candidates"] = [{"engine": "litert", "outcome": "chosen", "tolerance": 0.25}]

    stores.edit(store / "catdog" / "1", loosen)
    _, [found] = run_json(store, capsys, "verify", "catdog", "1")
    assert found["engines"]["litert"]["tolerance"] == 0.25


def test_verify_skips_an_engine_that_is_not_installed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def rename(data: dict[str, Any]) -> None:
        data["engines"]["abacus"] = data["engines"].pop("keras")

    stores.edit(store / "catdog" / "1", rename)
    status, [found] = run_json(store, capsys, "verify", "catdog", "1")
    assert (status, found["engines"]["abacus"]["result"]) == (0, "skipped")


def test_use(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(store, capsys, "use", "catdog", "2", "--label", "canary")
    assert run_json(store, capsys, "use", "catdog", "1") == (
        0,
        {"name": "catdog", "labels": {"canary": "2", "stable": "1"}},
    )
    assert json.loads((store / "catdog" / "serving.json").read_text()) == {
        "labels": {"canary": "2", "stable": "1"},
        "versions": "newest 1",
    }


@pytest.mark.parametrize(
    ("closed", "mode"), [("bundle.json", 0o600), ("model.tflite", 0o640), ("", 0o700), ("..", 0o750), ("", 0o744)]
)
def test_use_warns_where_the_service_may_not_read_what_root_copied(
    capsys: pytest.CaptureFixture[str], closed: str, mode: int
) -> None:
    with short_folder() as folder:
        folder.chmod(0o755)
        version = stores.prepared(folder / "catdog" / "1", "1")
        assert run(folder, capsys, "use", "catdog", "1")[2] == ""
        path = (version / closed).resolve()
        path.chmod(mode)
        status, out, said = run(folder, capsys, "use", "catdog", "1")
        assert (status, "stable is version 1" in out) == (0, True)
        assert f"unable to load it: {path} may be read by fewer" in said
        folder.chmod(0o700)
        assert run(folder, capsys, "use", "catdog", "1")[2] == ""  # nobody else may read the store


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_use_warns_of_another_group_than_the_stores(capsys: pytest.CaptureFixture[str]) -> None:
    with short_folder() as folder:
        version = stores.prepared(folder / "catdog" / "1", "1")
        folder.chmod(0o750)
        os.chown(folder, 0, 65534)
        (version / "golden.npz").chmod(0o640)
        assert f"{version / 'golden.npz'} may be read by fewer" in run(folder, capsys, "use", "catdog", "1")[2]
        os.chown(version / "golden.npz", 0, 65534)
        assert run(folder, capsys, "use", "catdog", "1")[2] == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["catdog", "7"], "has no version '7'"),
        (["lion", "1"], "no model 'lion'"),
        (["../catdog", "1"], "no model '../catdog'"),
        (["catdog", "2"], "checksum differs"),
        (["catdog", "1", "--label", "1"], "is no label"),
    ],
)
def test_use_refuses(store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    stores.corrupt(store / "catdog" / "2")
    status, out, said = run(store, capsys, "use", *arguments)
    assert (status, out) == (1, "")
    assert message in said
    assert not (store / "catdog" / "serving.json").exists()


def test_remove(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(store, capsys, "use", "catdog", "2")
    assert run(store, capsys, "remove", "catdog", "1")[0] == 0
    status, _, said = run(store, capsys, "remove", "catdog", "2")
    assert status == 1
    assert "is named by stable. Let them name another first (kiln models use catdog VERSION --label stable)" in said
    assert run(store, capsys, "remove", "catdog", "2", "--force")[0] == 0
    assert sorted(path.name for path in (store / "catdog").iterdir()) == ["10", "serving.json"]
    assert run_json(store, capsys, "list")[1][0]["labels"] == {}


def test_as_a_program_it_takes_a_store_relative_to_the_caller(store: Path) -> None:
    command = [sys.executable, "-m", "model.cli", "list", "--json"]
    environment = {**os.environ, "KILN_CWD": str(store.parent)}
    given = subprocess.run([*command, "--store", "store"], cwd=ROOT, env=environment, capture_output=True, check=True)
    environment["KILN_STORE"] = "store"  # relative, too
    declared = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    assert json.loads(given.stdout) == json.loads(declared.stdout) != []


@pytest.mark.parametrize("options", [["list"], ["list", "--json"]])
def test_a_reader_that_has_enough_is_no_fault(options: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "model.cli", *options], cwd=ROOT, stdout=write, stderr=subprocess.PIPE
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")
