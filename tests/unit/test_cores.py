"""The cores that may be used are counted as the system limits them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app import cores

pytestmark = pytest.mark.unit

ALL = len(os.sched_getaffinity(0))


def given(folder: Path, membership: str, **files: str) -> tuple[Path, Path]:
    for name, text in files.items():
        path = folder / "groups" / name.replace("__", "/").replace("_max", ".max").replace("cpu_cfs", "cpu.cfs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "membership").write_text(membership)
    return folder / "groups", folder / "membership"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000", ALL), ("100000 100000", 1), ("50000 100000", 1), ("150000 100000", 1), ("9900000 100000", ALL)],
)
def test_version_2(tmp_path: Path, text: str, expected: int) -> None:
    assert cores.usable(*given(tmp_path, "0::/a/b\n", a__b__cpu_max=text)) == expected


def test_a_group_around_limits_too(tmp_path: Path) -> None:
    assert cores.usable(*given(tmp_path, "0::/a/b\n", a__b__cpu_max="max 100000", a__cpu_max="100000 100000")) == 1


def test_a_path_of_the_host_falls_back_to_the_mount(tmp_path: Path) -> None:
    assert cores.usable(*given(tmp_path, "0::/not/here\n", cpu_max="100000 100000")) == 1


@pytest.mark.parametrize(("quota", "expected"), [("-1", ALL), ("100000", 1)])
def test_version_1(tmp_path: Path, quota: str, expected: int) -> None:
    folder = "cpu,cpuacct__a__"
    files = {f"{folder}cpu_cfs_quota_us": quota, f"{folder}cpu_cfs_period_us": "100000"}
    assert cores.usable(*given(tmp_path, "4:cpu,cpuacct:/a\n", **files)) == expected


@pytest.mark.parametrize("text", ["", "max", "a b", "1 0"])
def test_nonsense_limits_nothing(tmp_path: Path, text: str) -> None:
    assert cores.usable(*given(tmp_path, "0::/\n", cpu_max=text)) == ALL


def test_no_groups_at_all(tmp_path: Path) -> None:
    assert cores.usable(tmp_path, tmp_path / "none") == ALL
