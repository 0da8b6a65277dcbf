"""What the user sees: progress on the way, then the candidates and how to ask the model."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .. import extras
from ..bundle import Bundle, Candidate, Tensor, largest_difference
from . import held_out, scores

EVEN = 1e-3  # of the largest answer
URL = "http://127.0.0.1:8000"
ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "tests" / "data" / "cat.jpg"
LABELS = 5  # that are shown
LONG = 300  # characters of a body that nobody wants to see
UNEVEN = 0.01  # by which the sum of probabilities may miss 1: float16 has three digits


class Steps:
    """Progress on a terminal, a line a step. check: called before and after each, to raise where it must not go on."""

    def __init__(self, console: Console, check: Callable[[], None] = lambda: None) -> None:
        self._check = check
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
        self._check()
        task = self._progress.add_task(text, total=None)
        try:
            yield
            self._check()
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
        *(_number(times[batch]) if batch in times else "" for batch in ("1", "4", "16")),
        "" if candidate.size is None else _number(candidate.size / 1e6),
        "" if candidate.largest is None else f"{candidate.largest:.0e}",
        "" if candidate.mean is None else f"{candidate.mean:.0e}",
        "" if candidate.agreement is None else f"{candidate.agreement:.1%}",
        candidate.outcome,
    ]


def _number(value: float) -> str:
    """Three digits that count, and never an exponent."""
    return f"{value:,.0f}" if value >= 100 else np.format_float_positional(value, 3, fractional=False, trim="-")


def reasons(bundle: Bundle) -> list[str]:
    """What the table's figures are, and why the others were not chosen."""
    answers = bundle.golden_tensors()[1]
    even = all(largest_difference(values, np.broadcast_to(values[:1], values.shape)) < EVEN for values in answers)
    photos = bundle.built.get("photos")
    if photos:
        note = "The model answers nearly the same to all inputs, so they prove little. Is it trained?"
    else:
        note = "The model answers nearly the same to all random inputs, so they prove little."
        note += " Give --photos." if bundle.preprocessing is not None else " Give rows of your own with --inputs."
    seen = f"photos: {photos['used']} used, {photos['unreadable']} that could not be read." if photos else ""
    dropped = bundle.built.get("not_finite")
    why = [f"{entry.engine} {entry.outcome}: {entry.reason}" for entry in bundle.candidates if entry.reason]
    return [
        "ms: one call with 1, 4 and 16 instances, one thread, on this machine.",
        f"largest, mean: difference from Keras as a part of its largest answer; {bundle.tolerance:g} is allowed.",
        *([seen] if seen else []),
        *_eight_bits(bundle),
        *([f"Inputs left out, as Keras answers NaN or infinity to them: {dropped}."] if dropped else []),
        *why,
        *([note] if even else []),
    ]


def _eight_bits(bundle: Bundle) -> list[str]:
    """What the loss of 8 bits was measured on, and whether that says much."""
    seen = bundle.built.get("int8")
    if not seen:
        return []
    more = f"give {held_out.ENOUGH} {'photos' if bundle.preprocessing is not None else 'rows (--inputs)'} or more."
    said = {
        "others": f"calibrated on {seen['calibrated']} rows; its loss is of {seen['measured']} others.",
        "the same": f"calibrated on the rows that its loss is of; to see it on others, {more}",
        "random": f"calibrated on random rows, so that its loss on real ones may be larger: {more}",
    }
    return [f"litert-int8: {said[seen['measured_on']]}"]


def doubts(bundle: Bundle) -> list[str]:
    """What is wrong with the scores of a bundle with labels, as the golden inputs show it; most often nothing."""
    if not bundle.labels or bundle.scores != "as_is":
        return []
    values = bundle.golden_tensors()[1][0]
    sums = values.sum(1, dtype=float)
    if not scores.from_0_to_1(values):
        found = f"they are from {values.min():.4g} to {values.max():.4g}, not from 0 to 1"
    elif values.shape[1] == len(bundle.labels) and (abs(sums - 1) > UNEVEN).any():
        found = f"those of one input sum to {sums.min():.4g} up to {sums.max():.4g}, not to 1"
    else:
        return []
    way = scores.of_logits(values)
    return [
        f"WARNING: the scores are no probabilities: {found}. Where the model's answers are logits (its last layer has "
        f"no activation), build it with --scores {way}. Where each label is judged by itself, all is well."
    ]


def description(bundle: Bundle) -> list[str]:
    """What the model is, in lines."""
    macs = bundle.built["multiply_adds"]
    lines = [f"{kind} {_shown(tensor)}" for kind, tensors in (("input ", bundle.inputs), ("output", bundle.outputs))
             for tensor in tensors]  # fmt: skip
    amount = "unknown" if macs is None else f"{macs:,}"
    lines.append(f"parameters {bundle.built['parameters']:,}, multiply-adds {amount}")
    if bundle.labels:
        more = f", ... {len(bundle.labels)} in all" if len(bundle.labels) > LABELS else ""
        lines.append(f"labels {', '.join(bundle.labels[:LABELS])}{more}; scores {bundle.scores}")
    if bundle.preprocessing is not None:
        how = ", ".join(f"{key} {value}" for key, value in bundle.preprocessing.to_json().items())
        lines.append(f"pictures {how}")
    return lines


def run(bundle: Bundle, default_store: Path) -> str:
    """The command that serves it. default_store: where `./kiln run` looks without being told."""
    launcher = shlex.quote(str(ROOT / "kiln"))
    store = bundle.folder.parents[1]
    if store == default_store:
        return f"{launcher} run"
    return f"{launcher} run --store {shlex.quote(str(store))} --model {bundle.name}"


def on_a_node(bundle: Bundle) -> str:
    """What a node needs that such a machine does not have by itself; empty where it has all."""
    if bundle.default_engine != "keras":
        return ""
    return f"\non a node   TensorFlow runs this model, so once: {extras.command('keras')}"


def curl(bundle: Bundle) -> str:
    """A command that asks the model, once it is served; it works as it stands, but for FILE where it takes bytes."""
    if names := _of_bytes(bundle):
        return _send_bytes(bundle, names)
    url = shlex.quote(f"{URL}/predict?model={bundle.name}")
    if bundle.preprocessing is not None:
        return f"curl -F image=@{shlex.quote(str(PHOTO))} {url}"
    inputs = _sized(bundle)
    instance: Any = {tensor.name: _example(tensor) for tensor in inputs}
    body = json.dumps({"instances": [instance if len(bundle.inputs) > 1 else next(iter(instance.values()))]})
    send = f"curl -H 'Content-Type: application/json' -d {{}} {url}"
    if len(body) <= LONG:
        return send.format(shlex.quote(body))
    terms = [f"{json.dumps(tensor.name)}: {_term(tensor)}" for tensor in inputs]
    made = f"{{{', '.join(terms)}}}" if len(terms) > 1 else _term(inputs[0])
    program = f'import json; print(json.dumps({{"instances": [{made}]}}))'
    return f"python3 -c {shlex.quote(program)} | {send.format('@-')}"


def _of_bytes(bundle: Bundle) -> list[str]:
    """The inputs that take bytes which are no text, by what the model was asked with."""
    if all(tensor.dtype != "string" for tensor in bundle.inputs):
        return []
    asked = bundle.golden_tensors()[0]
    return [tensor.name for tensor, values in zip(bundle.inputs, asked, strict=True) if values.dtype.kind == "S"]


def _send_bytes(bundle: Bundle, names: Sequence[str]) -> str:
    """By TensorFlow Serving's protocol, which has a form for bytes."""
    instance = {tensor.name: _example(tensor, bytes_too=tensor.name in names) for tensor in _sized(bundle)}
    body = json.dumps({"instances": [instance if len(bundle.inputs) > 1 else next(iter(instance.values()))]})
    files = " ".join(["\"$(base64 < FILE | tr -d '\\n')\""] * body.count("%s"))
    url = shlex.quote(f"{URL}/v1/models/{bundle.name}:predict")
    return f"printf {shlex.quote(body)} {files} | curl -H 'Content-Type: application/json' -d @- {url}"


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
        "scores": bundle.scores,
        "warnings": doubts(bundle),
        "preprocessing": bundle.preprocessing.to_json() if bundle.preprocessing else None,
        "parameters": bundle.built["parameters"],
        "multiply_adds": bundle.built["multiply_adds"],
        "tolerance": bundle.tolerance,
        "candidates": [candidate.to_json() for candidate in bundle.candidates],
        "curl": curl(bundle),
    }


def _shown(tensor: Tensor) -> str:
    return f"{tensor.name}: {tensor.dtype} [{', '.join('any' if size is None else str(size) for size in tensor.shape)}]"


def _sized(bundle: Bundle) -> list[Tensor]:
    """The inputs, axes of any size as long as the golden inputs': the model may not take any shorter."""
    if not any(None in tensor.shape[1:] for tensor in bundle.inputs):
        return list(bundle.inputs)
    asked = bundle.golden_tensors()[0]
    return [tensor._replace(shape=values.shape) for tensor, values in zip(bundle.inputs, asked, strict=True)]


def _value(tensor: Tensor) -> Any:
    return {"string": "text", "bool": False}.get(tensor.dtype, 0 if "int" in tensor.dtype else 0.0)


def _term(tensor: Tensor) -> str:
    """The example as a Python expression, short however large it is."""
    term = repr(_value(tensor))
    for size in reversed(tensor.shape[1:]):
        term = f"[{term}] * {size}"
    return term


def _example(tensor: Tensor, *, bytes_too: bool = False) -> Any:
    value = {"b64": "%s"} if bytes_too else _value(tensor)
    for size in reversed(tensor.shape[1:]):
        value = [value] * (size or 1)
    return value
