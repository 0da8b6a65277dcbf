"""How many cores this process may use: the fewest of what the machine, its affinity and its control groups allow.

Sources: sched_getaffinity(2); cpu.max in the kernel's "Control Group v2"; cpu.cfs_quota_us in "CFS Bandwidth Control".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def usable(groups: Path = _GROUPS, membership: Path = Path("/proc/self/cgroup")) -> int:
    """Whole cores, at least 1. A limit of 1.5 cores counts as 1: a second worker would be throttled half of the time.

    groups: where control groups are mounted. membership: the file that says in which of them this process is.
    """
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    return max(1, int(min([cores, *_limits(groups, membership)])))


def _limits(groups: Path, membership: Path) -> Iterator[float]:
    """Every limit, in cores, of the groups that this process is in and of those around them."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _up(groups, path, _limit_v2)
        elif "cpu" in controllers.split(","):
            for mount in (groups / controllers, groups / "cpu"):
                yield from _up(mount, path, _limit_v1)


def _up(mount: Path, path: str, limit: Callable[[Path], float | None]) -> Iterator[float]:
    """Inside a container the path may be that of the host and not exist here; the mount itself then has the limit."""
    folder = mount / path.lstrip("/")
    for group in (folder, *folder.parents):
        if (found := limit(group)) is not None:
            yield found
        if group == mount:
            return


def _limit_v2(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _limit_v1(group: Path) -> float | None:
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        return None if quota <= 0 else quota / int((group / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError, ZeroDivisionError):
        return None
