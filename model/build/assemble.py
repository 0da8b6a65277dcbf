"""The whole build in order: reference, candidates, proof, speed, choice, and the bundle into the store."""

from __future__ import annotations

import contextlib
import datetime
import functools
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import bundle as bundles
from .. import disk
from .. import golden as kept_golden
from ..bundle import Bundle, Candidate, File
from ..preprocess import Preprocessing
from . import child, exporting, golden, held_out, labels, measuring, probes, proof, reference, scores
from .errors import BuildError
from .exporting import EXPORTERS, FASTER, QUANTIZED, Exporter, is_exact
from .macs import multiply_adds
from .source import Source
from .workplace import work_folder

SPARE = 100_000_000  # bytes that stay free on the disk
COPIES = 9  # of the weights while building: source, graph, candidates
Step = Callable[[str], AbstractContextManager[None]]
Compare = Callable[..., proof.Comparison]  # of the answers to all rows, or else to those of the given numbers
EDGES = "probes.npz"
SAMPLES = "samples.npz"
# TensorFlow takes some 700 MB of each worker and 2 GB of a node's disk: Keras itself has to be that much faster.
GAIN = 0.9  # its time as a part of another's
GAIN_OF_REWRITTEN = 0.97  # likewise of a file made from another's: it is larger, and measurements differ by so much


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    inputs: rows to ask instead of random ones, the first of them golden. photos: a folder of pictures to prove and
    measure accuracy on.
    quantize: keys of QUANTIZED. engine: to be the bundle's, whatever is fastest. scores: see Bundle; found out when "".
    Without labels it is "as_is".
    """

    store: Path
    name: str
    version: str
    labels: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    photos: Path | None = None
    inputs: Sequence[np.ndarray] | None = None
    quantize: Sequence[str] = ()
    engine: str = ""
    scores: str = ""
    built_from: dict[str, Any] = field(default_factory=dict)


def build(
    source: Source,
    request: Request,
    *,
    exporters: Mapping[str, Exporter] = EXPORTERS,
    step: Step = lambda _: contextlib.nullcontext(),
) -> Bundle:
    """Make the bundle; it appears in the store whole or not at all. Raises BuildError.

    exporters: by engine. step: called with what is done next; its context lasts as long.
    """
    target = request.store / request.name / request.version
    if target.exists():
        raise BuildError(f"{target} exists. Choose another version or remove it first.")
    with work_folder(target, _space(source)) as work:
        bundle = _made(source, request, work, exporters, step)
        bundles.write(bundle)
        for path in work.iterdir():
            path.chmod(0o644)
        work.chmod(0o755)
        work.rename(target)
    return bundles.read(target)


def newest_version(store: Path, name: str) -> int:
    """The largest number among the versions, 0 where there is none."""
    return max(map(int, disk.versions(store / name)), default=0)


def _made(source: Source, request: Request, work: Path, exporters: Mapping[str, Exporter], step: Step) -> Bundle:
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=work) as scratch_name:
        scratch = Path(scratch_name)
        with step("Asking Keras for the reference answers"):
            asked = reference.ask(source, request.preprocessing, request.inputs, request.photos)
            wanted = asked.answers
            outputs = reference.outputs(source, wanted)
            labels.check(request.labels, outputs[0])
            np.savez(scratch / "inputs.npz", **_named("input", asked.inputs))
            rows = held_out.rows(len(asked.inputs[0]), asked.own)
            np.savez(scratch / SAMPLES, **_named("input", [values[rows.calibrated] for values in asked.inputs]))
            np.savez(scratch / EDGES, **_named("input", probes.in_rows(asked.probes)))
            inputs, answers = ([values[: asked.golden] for values in arrays] for arrays in (asked.inputs, wanted))
            kept_golden.write(work / "golden.npz", _named("input", inputs) | _named("output", answers))
        with step("Saving the model"):
            saved = _save_reference(source, work, scratch / "graph")
        middle = _middle(request, wanted[0])
        compare = functools.partial(_compared, wanted=wanted, middle=middle)
        candidates = [_tried("keras", lambda: saved, scratch, asked, compare, step, rows)]
        _check_reference(candidates[0], source, asked)
        files = {"keras": saved}
        for engine, exporter in _wanted(exporters, request.quantize).items():
            if exporter.of and exporter.of not in files:
                continue
            make = _maker(engine, exporter, scratch, work, step)
            try:
                found = _tried(engine, make, scratch, asked, compare, step, rows)
            except exporting.NothingToGain:
                if engine != request.engine:
                    continue
                found = Candidate(engine, "failed", "the model has nothing that it would make faster")
            if exporter.of and found.outcome == "kept":
                found = _if_it_gains(found, exporter.of, candidates, request.engine)
            candidates.append(found)
            if found.outcome == "kept":
                files[engine] = work / exporter.file
            else:
                (work / exporter.file).unlink(missing_ok=True)
    chosen = _choose(candidates, request.engine)
    return Bundle(
        folder=work,
        name=request.name,
        version=request.version,
        labels=request.labels,
        scores=(request.scores or scores.usual(wanted[0])) if request.labels else "as_is",
        inputs=source.inputs,
        outputs=outputs,
        preprocessing=request.preprocessing,
        engines={engine: File.of(file) for engine, file in files.items()},
        default_engine=chosen,
        golden=File.of(work / "golden.npz"),
        tolerance=proof.TOLERANCE,
        built=_how(source) | asked.told | _calibrated(rows, asked.own, request) | request.built_from,
        candidates=tuple(_told(candidate, chosen, candidates) for candidate in candidates),
    )


def _check_reference(found: Candidate, source: Source, asked: reference.Reference) -> None:
    if found.outcome == "failed":
        raise BuildError(f"The saved model cannot be run again on this machine: {found.reason}")
    if found.outcome != "kept" and reference.mixes_rows(source, asked):
        raise BuildError(
            "The model's answer to a row depends on the others of its batch, as with a mean over the batch. Kiln asks "
            "rows of many clients at once, or each alone: make a model whose answer to a row is that row's."
        )
    if found.outcome != "kept":
        raise BuildError(
            f"The model does not answer the same twice: {found.reason}. It draws random numbers, as layers that "
            "augment pictures or drop values do in training. Where this is what model.export() wrote, build the .keras "
            "file instead: Kiln switches such layers off, and in an exported graph they are fixed."
        )


def _named(which: str, arrays: Sequence[np.ndarray]) -> dict[str, Any]:
    return {f"{which}_{number}": golden.storable(values) for number, values in enumerate(arrays)}


def _save_reference(source: Source, work: Path, graph: Path) -> Path:
    """Save the graph for the exporters, and what the keras engine runs: the model, or else the graph, zipped."""
    source.save_graph(graph)
    if source.model is not None:
        file = work / "model.keras"
        source.model.save(file)
        return file
    file = work / "model.savedmodel.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(graph.rglob("*")):
            archive.write(path, path.relative_to(graph))
    return file


def _wanted(exporters: Mapping[str, Exporter], quantize: Sequence[str]) -> dict[str, Exporter]:
    faster = {engine: exporter for engine, exporter in FASTER.items() if exporter.of in exporters}
    return {**exporters, **faster, **{f"litert-{kind}": QUANTIZED[kind] for kind in quantize}}


def _maker(engine: str, exporter: Exporter, scratch: Path, work: Path, step: Step) -> Callable[[], Path]:
    def make() -> Path:
        with step(f"Exporting to {engine}"):
            return exporting.export(exporter, scratch / "graph", scratch / SAMPLES, work)

    return make


def _compared(
    answers: Sequence[np.ndarray],
    rows: np.ndarray | slice = slice(None),
    *,
    wanted: Sequence[np.ndarray],
    middle: float | None,
) -> proof.Comparison:
    return proof.compare([values[rows] for values in answers], [values[rows] for values in wanted], middle)


def _tried(
    engine: str,
    make: Callable[[], Path],
    scratch: Path,
    asked: reference.Reference,
    compare: Compare,
    step: Step,
    rows: held_out.Rows,
) -> Candidate:
    exact = is_exact(engine)
    edges = asked.probes if exact and engine != "keras" else []  # Keras is itself, fewer bits hold fewer numbers
    try:
        file = make()
    except child.ChildFailed as failed:
        return Candidate(engine, "failed", f"export: {failed}")
    answers_file = scratch / f"{engine}.npz"
    size = file.stat().st_size
    try:
        with step(f"Proving and timing {engine}"):
            times = measuring.measure(
                engine, file, scratch / "inputs.npz", answers_file, scratch / EDGES if edges else None
            )
            with np.load(answers_file) as saved:
                answers = [saved[f"output_{number}"] for number in range(len(asked.answers))]
                probed = probes.saved(saved, len(edges), len(answers))
    except child.ChildFailed as failed:
        return Candidate(engine, "failed", f"run: {failed}", size)
    found = compare(answers)
    fits = not found.problem and np.isfinite(found.largest)
    shown = compare(answers, rows.measured) if fits and not exact else found
    figures = Candidate(
        engine, "kept", "", size, _finite(shown.largest), _finite(shown.mean), None, shown.agreement, times
    )
    if fits and not exact:
        # Its weights have fewer bits: it is held to what it did here, and its loss is shown.
        return figures._replace(tolerance=max(2 * found.largest, proof.TOLERANCE))
    figures = figures._replace(tolerance=proof.TOLERANCE)
    reason = found.problem or ("" if found.proven else "differs") or probes.problem(edges, probed, asked.answers)
    return figures._replace(outcome="thrown out", reason=reason) if reason else figures


def _if_it_gains(found: Candidate, of: str, candidates: Sequence[Candidate], asked: str) -> Candidate:
    """Another way to the same numbers is worth its place on the disk where it is faster, or asked for."""
    plain = next(each for each in candidates if each.engine == of)
    time, plain_time = ((each.milliseconds or {})["1"] for each in (found, plain))
    if time <= GAIN_OF_REWRITTEN * plain_time or found.engine == asked:
        return found
    reason = f"slower than {of}" if time > plain_time else f"hardly faster than {of}"
    return found._replace(outcome="thrown out", reason=reason)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _choose(candidates: Sequence[Candidate], asked: str) -> str:
    """The one asked for, else the fastest at batch 1 of those that answer exactly as Keras does; `keras`: see GAIN."""
    kept = {candidate.engine: candidate for candidate in candidates if candidate.outcome == "kept"}
    if asked and asked not in kept:
        reasons = [f"{entry.engine} ({entry.reason})" for entry in candidates if entry.engine == asked]
        raise BuildError(f"Engine {' '.join(reasons) or asked} cannot be had. These can: {', '.join(kept)}.")
    exact = [engine for engine in kept if is_exact(engine)]
    times = {engine: (kept[engine].milliseconds or {})["1"] for engine in exact}
    return asked or min(exact, key=lambda engine: times[engine] / (GAIN if engine == "keras" else 1))


def _told(candidate: Candidate, chosen: str, candidates: Sequence[Candidate]) -> Candidate:
    if candidate.engine == chosen:
        return candidate._replace(outcome="chosen")
    if candidate.outcome != "kept":
        return candidate
    if not is_exact(candidate.engine):
        return candidate._replace(reason="not exact; taken only when asked for with --engine")
    times = {entry.engine: (entry.milliseconds or {}).get("1", 0.0) for entry in candidates}
    if times[candidate.engine] >= times[chosen]:
        return candidate._replace(reason="slower")
    if candidate.engine == "keras" and times["keras"] >= GAIN * times[chosen]:
        return candidate._replace(reason="faster by less than a tenth, and needs TensorFlow on every node")
    return candidate._replace(reason=f"{chosen} was asked for")


def _middle(request: Request, first: np.ndarray) -> float | None:
    """Above which a single value is the second of two labels; None where there are others."""
    if len(request.labels) != 2 or first.shape[1:] != (1,):
        return None
    return 0.0 if (request.scores or scores.usual(first)) == "sigmoid" else 0.5


def _calibrated(rows: held_out.Rows, own: int, request: Request) -> dict[str, Any]:
    """What the bundle says of the rows that 8 bits saw."""
    if "int8" not in request.quantize:
        return {}
    kind = "others" if rows.apart else "the same" if own else "random"
    return {"int8": {"calibrated": len(rows.calibrated), "measured": len(rows.measured), "measured_on": kind}}


def _space(source: Source) -> int:
    return SPARE + COPIES * 4 * _parameters(source)


def _how(source: Source) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "at": now,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "parameters": _parameters(source),
        "multiply_adds": multiply_adds(source),
    }


def _parameters(source: Source) -> int:
    return sum(int(np.prod(weight.shape)) for weight in source.weights)
