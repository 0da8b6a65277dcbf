"""Work in a process of its own: whatever happens to it, this one goes on and knows the reason."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class ChildFailed(Exception):
    """The process failed, crashed or took too long; the text is the reason in a few words."""


def run(arguments: Sequence[str], timeout: float) -> str:
    """Run Python with the arguments and return what it printed. Raises ChildFailed. Seconds: timeout."""
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(  # noqa: S603
            [sys.executable, *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                _first_to_go(process.pid)
                output, _ = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired as late:
                raise ChildFailed(f"took longer than {timeout:.0f} s") from late
            finally:
                process.kill()
        errors.seek(0)
        if process.returncode:
            raise ChildFailed(_reason(process.returncode, errors.read()))
    return output


def _first_to_go(process: int) -> None:
    """Where memory runs out, the kernel shall end this process and not its parent."""
    try:
        Path(f"/proc/{process}/oom_score_adj").write_text("1000")
    except OSError:  # not Linux, or over already
        return


def _reason(status: int, errors: str) -> str:
    if status < 0:
        name = signal.Signals(-status).name
        return f"crashed ({name}{', perhaps for want of memory' if name == 'SIGKILL' else ''})"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"ended with status {status} and no message"
