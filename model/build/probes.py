"""Rows at the edges: zeros, large numbers and negative whole ones, which random rows do not meet and clients send."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .. import bundle as bundles
from .errors import BuildError
from .proof import TOLERANCE

MAGNITUDES = (100, 10_000)  # of floats; whole numbers go to a hundredth of it
SIGNS = ((1, 1), (-1, -1), (1, -1))  # of the numbers at even and at odd places
NUDGES = 3  # times that a row is asked with its floats changed a little
NUDGE = 1e-4  # as a part of each; more where the dtype is coarser
SLACK = 10  # times what a nudge changes: engines round at every step, and a nudge is one
Arrays = list[np.ndarray]
Ask = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Probe:
    """A row, and what Keras makes of it.

    name: what it holds. inputs, answers: first axis 1; answers is None where Keras refuses the row. changes: how far
    nudged inputs move each number of the answers, NaN where they lead to none.
    """

    name: str
    inputs: Arrays
    answers: Arrays | None
    changes: Arrays


def ask(asked: Ask, inputs: Sequence[np.ndarray], vocabularies: Sequence[int | None]) -> list[Probe]:
    """The probes of a model. asked: Keras; raises BuildError. inputs: rows that it takes; text is left as it is there.

    vocabularies: see Source.
    """
    known = vocabularies or [None] * len(inputs)
    whole = [values.dtype.kind in "iu" or size is not None for values, size in zip(inputs, known, strict=True)]
    usual = [values[:1] for values in inputs]
    if all(values.dtype.kind in "OSU" for values in usual):
        return []
    probes = []
    for magnitude, signs in [(0, SIGNS[0]), *((size, signs) for size in MAGNITUDES for signs in SIGNS)]:
        row = [_filled(values, magnitude, signs, each) for values, each in zip(usual, whole, strict=True)]
        probes.append(_probe(asked, _name(magnitude, signs, whole), row))
        if probes[-1].answers is None and any(whole) and not all(whole):  # the floats are to be seen all the same
            row = [old if each else new for old, new, each in zip(usual, row, whole, strict=True)]
            probes.append(_probe(asked, _name(magnitude, signs, [False]), row))
    return probes


def problem(probes: Sequence[Probe], answers: Sequence[Arrays | None], usual: Sequence[np.ndarray]) -> str:
    """What a candidate answers otherwise than Keras, with figures, or nothing.

    answers: to each probe, None where it was refused. usual: Keras' answers to ordinary rows, whose size tells what a
    difference means.
    """
    return next(filter(None, map(functools.partial(_one_problem, usual=usual), probes, answers)), "")


def _one_problem(probe: Probe, answer: Arrays | None, usual: Sequence[np.ndarray]) -> str:
    if answer is None or probe.answers is None:
        verb = "refuses" if answer is None else "takes"
        return "" if answer is probe.answers else f"{verb} inputs of {probe.name}, and Keras does not"
    for found, wanted, changes, ordinary in zip(answer, probe.answers, probe.changes, usual, strict=True):
        if found.shape != wanted.shape:
            return f"to inputs of {probe.name} its answer has the shape {list(found.shape)}, not {list(wanted.shape)}"
        wrong = _wrong(found, wanted, changes, ordinary)
        if wrong.any():
            place = tuple(np.argwhere(wrong)[0])
            return f"answers {_shown(found[place])} to inputs of {probe.name}, and Keras {_shown(wanted[place])}"
    return ""


def in_rows(probes: Sequence[Probe]) -> list[np.ndarray]:
    """An array an input, a row a probe."""
    return [np.concatenate(values) for values in zip(*(probe.inputs for probe in probes), strict=True)]


def one_by_one(engine: Callable[..., Sequence[np.ndarray]], inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The answers by names that `saved` knows; none for a row that the engine refuses."""
    answers: dict[str, np.ndarray] = {}
    for row in range(len(inputs[0])):
        try:
            found = engine(*(values[row : row + 1] for values in inputs))
        except Exception:  # noqa: S112 - each engine raises its own
            continue
        answers |= {f"probe_{row}_{number}": values for number, values in enumerate(found)}
    return answers


def saved(kept: Mapping[str, np.ndarray], count: int, outputs: int) -> list[Arrays | None]:
    """What `one_by_one` found for so many probes."""
    return [
        [kept[f"probe_{row}_{number}"] for number in range(outputs)] if f"probe_{row}_0" in kept else None
        for row in range(count)
    ]


def _filled(values: np.ndarray, magnitude: int, signs: tuple[int, int], whole: bool) -> np.ndarray:
    if values.dtype.kind in "OSU":
        return values
    pattern = np.resize(np.array(signs) * magnitude, values.size)
    if whole:
        pattern = np.sign(pattern) * np.random.default_rng(0).integers(1, max(2, magnitude // 100), values.size)
    if values.dtype.kind in "ub":
        pattern = np.abs(pattern)
    return pattern.reshape(values.shape).astype(values.dtype)


def _name(magnitude: int, signs: tuple[int, int], whole: Sequence[bool]) -> str:
    if not magnitude:
        return "zeros"
    size = magnitude // 100 if all(whole) else magnitude
    numbers = " and ".join(str(sign * size) for sign in dict.fromkeys(signs))
    return f"up to {numbers}" if all(whole) and size > 1 else numbers


def _probe(asked: Ask, name: str, inputs: Arrays) -> Probe:
    try:
        answers = asked(inputs)
    except BuildError:
        return Probe(name, inputs, None, [])
    floats = any(values.dtype.kind == "f" and values.any() for values in inputs)
    try:
        nudged = [asked(_nudged(inputs, seed)) for seed in range(NUDGES if floats else 0)]
    except BuildError:
        return Probe(name, inputs, answers, [np.full(values.shape, np.nan) for values in answers])
    changes = [
        np.max([_distance(other[number], values) for other in nudged] or [np.zeros(values.shape)], axis=0)
        for number, values in enumerate(answers)
    ]
    return Probe(name, inputs, answers, changes)


def _nudged(inputs: Arrays, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return [
        (values * (1 + max(NUDGE, 2 * np.finfo(values.dtype).eps) * rng.uniform(-1, 1, values.shape))).astype(
            values.dtype
        )
        if values.dtype.kind == "f"
        else values
        for values in inputs
    ]


def _distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of each number; NaN where there is none, or the shapes differ."""
    if one.shape != other.shape:
        return np.full(other.shape, np.nan)
    if other.dtype.kind in "OSU":
        return np.where(bundles.as_text(one) == bundles.as_text(other), 0.0, np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return np.where(np.isfinite(distance), distance, np.nan)


def _wrong(found: np.ndarray, wanted: np.ndarray, changes: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """bool, by number: where Keras' answer is finite and stays so, and the other is not within what it allows."""
    if wanted.dtype.kind in "OSU":
        return (bundles.as_text(found) != bundles.as_text(wanted)) & (changes == 0)
    scale = max(_largest(wanted), _largest(usual))
    distance = _distance(found, wanted)
    with np.errstate(invalid="ignore"):
        beyond = ~(distance <= TOLERANCE * scale + SLACK * changes)
    return beyond & np.isfinite(wanted) & np.isfinite(changes)


def _largest(values: np.ndarray) -> float:
    return float(np.max(np.abs(values.astype(np.float64)), initial=0, where=np.isfinite(values)))


def _shown(value: np.generic) -> str:
    return repr(value.item()) if value.dtype.kind in "OSU" else f"{value:.4g}"
