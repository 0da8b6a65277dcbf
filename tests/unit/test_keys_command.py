"""The file of API keys, and `./kiln keys`, which changes it."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from app.keys import __main__ as command
from app.keys import file
from app.keys.file import Key, KeysError
from app.keys.rates import Bucket, Moment
from tests.faults.disks import BLOCK, fill, small_disk

pytestmark = pytest.mark.unit

HASH = "ab" * 32


def test_every_line_is_read(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# ours\n\nphone sha256:{HASH} rate=2.5 # a comment\n  desk\tsha256:{HASH}\n")
    digest = bytes.fromhex(HASH)
    assert file.read(path) == (Key("phone", digest, 2.5), Key("desk", digest, 0.0))


def test_every_problem_is_named_and_nothing_of_the_line_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(
        f"one {'s' * 40}\ntwo sha256:{HASH}\ntwo sha256:{HASH}\n-x sha256:{HASH}\nz sha256:{HASH} rate=-1\n"
    )
    with pytest.raises(KeysError) as caught:
        file.read(path)
    for part in ("line 1 ", "line 3 repeats the name two", "line 4 ", "line 5 "):
        assert part in str(caught.value)
    assert "ssss" not in str(caught.value)


def test_keys_are_made_listed_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys"
    asked = ["--file", str(path)]
    assert command.main(["add", "phone", "--rate", "5", *asked]) == 0
    key = capsys.readouterr().out.strip()
    assert command.main(["add", "desk", *asked]) == 0
    assert capsys.readouterr().out.strip() != key
    assert key.startswith(file.PREFIX)
    assert len(key) > 43
    assert key not in path.read_text()
    assert file.read(path)[0] == Key("phone", hashlib.sha256(key.encode()).digest(), 5.0)
    assert command.main(["list", *asked]) == 0
    assert capsys.readouterr().out == "phone  5 requests a second\ndesk\n"
    assert command.main(["remove", "phone", *asked]) == 0
    assert [there.name for there in file.read(path)] == ["desk"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_done_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys"
    asked = ["--file", str(path)]
    assert command.main(["list", *asked]) == 1
    file.add(path, "phone")
    before = path.read_text()
    for arguments in (["add", "phone"], ["add", "two words"], ["remove", "desk"]):
        assert command.main([*arguments, *asked]) == 1
        assert capsys.readouterr().err.startswith("kiln: ")
    assert path.read_text() == before
    path.write_text("broken\n")
    assert command.main(["add", "other", *asked]) == 1
    assert path.read_text() == "broken\n"


def test_a_full_disk_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with small_disk(tmp_path / "disk", 16 * BLOCK) as disk:
        fill(disk)
        assert command.main(["add", "phone", "--file", f"{disk}/keys"]) == 1
        assert capsys.readouterr().err == f"kiln: {disk}/keys: No space left on device\n"


def test_the_file_is_the_setting_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KILN_API_KEYS", raising=False)
    assert command.main(["add", "phone"]) == 1
    assert "KILN_API_KEYS" in capsys.readouterr().err
    monkeypatch.setenv("KILN_API_KEYS", str(tmp_path / "keys"))
    assert command.main(["add", "phone"]) == 0
    monkeypatch.setenv("KILN_CWD", str(tmp_path))
    assert command.main(["list", "--file", "keys"]) == 0


def test_others_do_not_read_it_and_its_mode_stays(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    file.add(path, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o600)
    file.add(path, "two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_new_file_is_for_the_group_of_its_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, -1, 12345)
    path = tmp_path / "keys"
    file.add(path, "one")
    assert (path.stat().st_uid, path.stat().st_gid) == (0, 12345)


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(file.add, [(path, f"key{number}") for number in range(20)])
    assert {key.name for key in file.read(path)} == {f"key{number}" for number in range(20)}


def test_a_bucket_gives_its_rate_and_a_second_s_worth_at_once() -> None:
    now = 100.0
    bucket = Bucket(4, Moment(), lambda: now)
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0, 0.25]
    now += 0.5
    assert [bucket.take() for _ in range(3)] == [0, 0, 0.25]
    now += 1000
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0, 0.25]


def test_a_bucket_of_less_than_one_a_second() -> None:
    now = 0.0
    bucket = Bucket(0.25, Moment(), lambda: now)
    assert [bucket.take(), bucket.take()] == [0, 4]
    now = 3.0
    assert bucket.take() == 1
    now = 4.0
    assert bucket.take() == 0


def test_workers_count_together(tmp_path: Path) -> None:
    """Whichever of them a request reaches: none of one that comes evenly is refused, and no more than the rate pass."""
    now = 100.0
    workers = [Bucket(10, Moment(tmp_path, "phone"), lambda: now) for _ in range(4)]
    for number in range(100):
        assert workers[0 if number < 50 else number % 4].take() == 0
        now += 0.1
    now += 1000
    assert [workers[number % 4].take() == 0 for number in range(12)] == [True] * 10 + [False] * 2
    assert Bucket(10, Moment(tmp_path, "other"), lambda: now).take() == 0


def test_a_rate_that_is_raised_holds_at_once(tmp_path: Path) -> None:
    slow, fast = (Bucket(rate, Moment(tmp_path, "phone"), lambda: 100.0) for rate in (0.01, 10))
    assert [slow.take(), slow.take()] == [0, 100]
    assert fast.take() == pytest.approx(0.1)


def test_without_room_each_counts_alone(tmp_path: Path) -> None:
    bucket = Bucket(1, Moment(tmp_path / "nowhere", "phone"), lambda: 100.0)
    assert [bucket.take(), bucket.take()] == [0, 1]
