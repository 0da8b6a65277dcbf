"""Work in a process of its own: whatever happens to it, this one goes on and knows the reason."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .errors import GRAPH, reason

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 300  # characters
_MODULE = re.compile(r"^(?:\w+\.)+(?=\w+:)")  # where an exception is defined


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
    _, traceback, raised = errors.rpartition("Traceback (most recent call last):\n")
    lines = [line for line in raised.splitlines() if line.strip()]
    if not lines:
        return f"ended with status {status} and no message"
    if not traceback:
        return _short(lines[-1].strip())
    said = next((line for line in lines if not line.startswith(" ")), lines[-1])  # the rest of it may be long
    if said.endswith(f": {GRAPH}"):  # which says nothing yet
        kind, _, told = "\n".join(lines[lines.index(said) :]).partition(": ")
        said = f"{kind}: {reason(Exception(told))}"
    return _short(_MODULE.sub("", said.strip()))


def _short(text: str) -> str:
    """Its two ends: what it is comes first, and what is wrong often last, after the names of files and nodes."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 3]} ... {text[-LONGEST * 2 // 3 :]}"
