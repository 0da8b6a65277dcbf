"""What the user sees: progress on the way, then the candidates and how to ask the model."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..bundle import Bundle, Candidate, Tensor, largest_difference

EVEN = 1e-3  # of the largest answer
URL = "http://127.0.0.1:8000/predict"


class Steps:
    """Progress on a terminal, a line a step."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)

    def __enter__(self) -> Steps:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show the step as going on for as long as the context lasts."""
        task = self._progress.add_task(text, total=None)
        try:
            yield
        finally:
            self._progress.update(task, total=1, completed=1)


def table(bundle: Bundle) -> Table:
    """The candidates, a row each; narrow enough for a terminal of 80 columns."""
    shown = Table(title=f"{bundle.name} version {bundle.version}", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("engine", "ms", "ms/4", "ms/16", "MB", "largest", "mean", "top-1", ""):
        shown.add_column(column, justify="left" if column in ("engine", "") else "right", no_wrap=True)
    for candidate in bundle.candidates:
        style = {"chosen": "bold", "kept": ""}.get(candidate.outcome, "dim")
        shown.add_row(*_cells(candidate), style=style)
    return shown


def _cells(candidate: Candidate) -> list[str]:
    times = candidate.milliseconds or {}
    return [
        candidate.engine,
        *(f"{times[batch]:.3g}" if batch in times else "" for batch in ("1", "4", "16")),
        "" if candidate.size is None else f"{candidate.size / 1e6:.2f}",
        "" if candidate.largest is None else f"{candidate.largest:.0e}",
        "" if candidate.mean is None else f"{candidate.mean:.0e}",
        "" if candidate.agreement is None else f"{candidate.agreement:.1%}",
        candidate.outcome,
    ]


def reasons(bundle: Bundle) -> list[str]:
    """What the table's figures are, and why the others were not chosen."""
    answers = bundle.golden_tensors()[1]
    even = all(largest_difference(values, np.broadcast_to(values[:1], values.shape)) < EVEN for values in answers)
    note = "The model answers nearly the same to all random inputs, so they prove little. Give --photos."
    why = [f"{entry.engine} {entry.outcome}: {entry.reason}" for entry in bundle.candidates if entry.reason]
    return [
        "ms: one call with 1, 4 and 16 instances, one thread, on this machine.",
        f"largest, mean: difference from Keras as a part of its largest answer; {bundle.tolerance:g} is allowed.",
        *why,
        *([note] if even else []),
    ]


def description(bundle: Bundle) -> list[str]:
    """What the model is, in lines."""
    macs = bundle.built["multiply_adds"]
    lines = [f"{kind} {_shown(tensor)}" for kind, tensors in (("input ", bundle.inputs), ("output", bundle.outputs))
             for tensor in tensors]  # fmt: skip
    amount = "unknown (a size varies)" if macs is None else f"{macs:,}"
    return [*lines, f"parameters {bundle.built['parameters']:,}, multiply-adds {amount}"]


def curl(bundle: Bundle) -> str:
    """A command that asks the model, once it is served."""
    url = shlex.quote(f"{URL}?model={bundle.name}")
    if bundle.preprocessing is not None:
        return f"curl -F image=@photo.jpg {url}"
    instance: Any = {tensor.name: _example(tensor) for tensor in bundle.inputs}
    body = json.dumps({"instances": [instance if len(bundle.inputs) > 1 else next(iter(instance.values()))]})
    if len(body) > 300:
        body = '{"instances": [...]}'
    return f"curl -H 'Content-Type: application/json' -d {shlex.quote(body)} {url}"


def as_json(bundle: Bundle) -> dict[str, Any]:
    """The same for programs."""
    return {
        "name": bundle.name,
        "version": bundle.version,
        "folder": str(bundle.folder),
        "engine": bundle.default_engine,
        "inputs": [tensor.to_json() for tensor in bundle.inputs],
        "outputs": [tensor.to_json() for tensor in bundle.outputs],
        "labels": list(bundle.labels),
        "preprocessing": bundle.preprocessing.to_json() if bundle.preprocessing else None,
        "parameters": bundle.built["parameters"],
        "multiply_adds": bundle.built["multiply_adds"],
        "tolerance": bundle.tolerance,
        "candidates": [candidate.to_json() for candidate in bundle.candidates],
        "curl": curl(bundle),
    }


def _shown(tensor: Tensor) -> str:
    return f"{tensor.name}: {tensor.dtype} [{', '.join('any' if size is None else str(size) for size in tensor.shape)}]"


def _example(tensor: Tensor) -> Any:
    value: Any = {"string": "text", "bool": False}.get(tensor.dtype, 0 if "int" in tensor.dtype else 0.0)
    for size in reversed(tensor.shape[1:]):
        value = [value] * (size or 1)
    return value
