"""The bare loop: decode and infer with no HTTP around it, in as many processes as the server has workers.

It is what the machine could answer if serving cost nothing. As a program: loads the model, prints "ready", then for
each line "SECONDS" on standard input runs that long and prints how many pictures it did in how many seconds.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from .processes import ROOT, Failed, Program, running
from .servers import MODEL, PHOTO

_COMMAND = [sys.executable, "-m", "loadtest.bare"]


class BareLoop:
    """Its processes, started and loaded."""

    def __init__(self, programs: list[Program]) -> None:
        self.programs = programs
        for program in programs:
            if self._line(program) != "ready":
                raise Failed("A bare loop did not start.")

    def run(self, seconds: float, processes: int | None = None) -> tuple[float, int]:
        """(pictures a second, pictures) of so many processes together, all by default, started at the same time."""
        programs = self.programs[:processes]
        for program in programs:
            assert program.process.stdin is not None
            program.process.stdin.write(f"{seconds}\n")
            program.process.stdin.flush()
        answers = [self._line(program).split() for program in programs]
        counts = [int(count) for count, _ in answers]
        return sum(count / float(took) for count, (_, took) in zip(counts, answers, strict=True)), sum(counts)

    def cpu_seconds(self) -> float:
        """Time on a CPU so far."""
        return sum(sum(program.cpu_seconds().values()) for program in self.programs)

    @staticmethod
    def _line(program: Program) -> str:
        assert program.process.stdout is not None
        line = program.process.stdout.readline().strip()
        if not line:
            program.process.wait(10)
            program.check()
        return line


@contextlib.contextmanager
def bare_loop(processes: int = 2, command: Sequence[str] = _COMMAND) -> Iterator[BareLoop]:
    """The loop for the length of a `with` block. command: a program that calls `serve_lines`."""
    with contextlib.ExitStack() as stack:
        # OpenBLAS as in the server's configuration.
        settings = {"OPENBLAS_NUM_THREADS": "1"}
        yield BareLoop([stack.enter_context(running(command, settings, pipes=True)) for _ in range(processes)])


def _main() -> None:
    from model.preprocess import Limits
    from model.store import Store

    store = Store(ROOT / "model" / "store", Limits(), default=MODEL)
    store.load()
    model, photo = store.get(), PHOTO.read_bytes()
    serve_lines(lambda: model.classify(model.prepare([photo])))


def serve_lines(step: Callable[[], object]) -> None:
    """Run the step as long as each line says."""
    step()
    print("ready", flush=True)
    for line in sys.stdin:
        count, started = 0, time.perf_counter()
        end = started + float(line)
        while time.perf_counter() < end:
            step()
            count += 1
        print(count, time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    _main()
