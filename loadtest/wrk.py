"""Run wrk, an HTTP load generator in C, and read what it found."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).parent / "post.lua"
_PAIR = re.compile(r"(\w+)=(\d+)")
_PATIENCE = 30  # seconds for one answer; the slowest peer keeps 16 clients waiting for seconds


@dataclass(frozen=True)
class Result:
    """One run: a closed loop, each connection posting again as soon as it has its answer."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    bad_statuses: int
    socket_errors: int
    wrong: int = 0  # answers that are 2xx and name another label, where that was looked at

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    @property
    def fault(self) -> str:
        """Why the result must not be used; empty when it may."""
        if self.bad_statuses or self.socket_errors:
            return f"{self.bad_statuses} answers were not 2xx, {self.socket_errors} socket errors"
        if self.wrong:
            return f"{self.wrong} of {self.requests} answers were wrong"
        return "" if self.requests else "no answers"


def available() -> bool:
    """Is wrk installed?"""
    return shutil.which("wrk") is not None


def run(
    url: str,
    body: Path,
    seconds: int,
    connections: int = 16,
    kind: str = "image/jpeg",
    labels: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
) -> Result:
    """Post a file from one thread over `connections` kept-alive connections. wrk takes whole seconds.

    labels: the right one and then all others; with them every answer is looked at. headers: beside the type of what is
    posted.
    """
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={_PATIENCE}s", "-s", str(_SCRIPT)]
    options += [f"-H{name}: {value}" for name, value in (headers or {}).items()]
    command = ["wrk", *options, url, "--", str(body), kind, *labels]
    return parse(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def parse(output: str) -> Result:
    """Read the line that post.lua adds to wrk's output. Raises ValueError when it is not there."""
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), "")
    values = {name: int(value) for name, value in _PAIR.findall(line)}
    try:
        return Result(
            requests=values["requests"],
            seconds=values["duration_us"] / 1e6,
            p50_ms=values["p50_us"] / 1e3,
            p99_ms=values["p99_us"] / 1e3,
            bad_statuses=values["status"],
            socket_errors=sum(values[kind] for kind in ("connect", "read", "write", "timeout")),
            wrong=values.get("wrong", 0),
        )
    except KeyError as missing:
        raise ValueError(f"wrk printed no {missing} in: {output[-500:]!r}") from missing
