"""What the model is asked, and Keras' own answers to it: the measure of every candidate."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Tensor
from ..engines.batches import in_batches
from ..preprocess import Preprocessing
from . import golden, probes
from .errors import BuildError, reason
from .source import Source

BATCH = 16
Arrays = list[np.ndarray]


@dataclass(frozen=True)
class Reference:
    """inputs, answers: first axis n, finite numbers alone. golden: how many rows, from the first, go into golden.npz.
    own: how many, the last ones, are the user's: photos or rows of --inputs; the others are random.

    told: what the bundle says of them: `photos`, and `not_finite`, how many inputs fell out. probes: rows at the edges,
    for models that take no pictures.
    """

    inputs: Arrays
    answers: Arrays
    golden: int
    own: int
    told: dict[str, Any]
    probes: list[probes.Probe]


def ask(source: Source, how: Preprocessing | None, own: Sequence[np.ndarray] | None, photos: Path | None) -> Reference:
    """Ask Keras. own: rows instead of random ones. photos: a folder of pictures that are asked, too.

    Rows to which it answers NaN or infinity are left out, and random ones drawn anew. Raises BuildError where none is
    left, or the model does not run.
    """
    told: dict[str, Any] = {}
    fallen = drawn = 0
    if own is not None:
        inputs = list(own)
        answers, kept = _asked(source, inputs, "the rows of --inputs"), golden.kept(inputs)
    else:
        inputs, answers, fallen = _drawn(source, how)
        kept = drawn = len(inputs[0])
    if photos is not None:
        if how is None:
            raise BuildError("--photos needs --preprocess: how a picture becomes the model's input.")
        pictures, unreadable = golden.photo_inputs(photos, how)
        told["photos"] = {"used": len(pictures), "unreadable": unreadable}
        inputs = [np.concatenate([inputs[0], pictures])]
        more = _asked(source, [pictures])
        answers = [np.concatenate(pair) for pair in zip(answers, more, strict=True)]
    good = _finite(answers)
    if not good.any():
        raise BuildError(
            "Keras answers NaN or infinity to every input, so nothing can be proven. Check the weights, and that "
            "--preprocess is what the model was trained with; give rows of its own range with --inputs FILE.npz."
        )
    if fallen + int((~good).sum()):
        told["not_finite"] = fallen + int((~good).sum())
    inputs, answers = ([values[good] for values in arrays] for arrays in (inputs, answers))
    edges = probes.ask(functools.partial(_asked, source), inputs, source.vocabularies) if how is None else []
    return Reference(inputs, answers, max(1, int(good[:kept].sum())), int(good[drawn:].sum()), told, edges)


def outputs(source: Source, answers: Arrays) -> tuple[Tensor, ...]:
    """The outputs as they are answered: of what some layers make, Keras declares another dtype or shape."""
    free = any(None in tensor.shape[1:] for tensor in source.inputs)
    return tuple(_as_answered(tensor, values, free) for tensor, values in zip(source.outputs, answers, strict=True))


def _as_answered(declared: Tensor, values: np.ndarray, free: bool) -> Tensor:
    """free: axes of the inputs may have any size, so that one which is not as declared may have any, too."""
    sizes = itertools.zip_longest(values.shape[1:], declared.shape[1:][: values.ndim - 1], fillvalue=-1)
    shape = [size if size == known or (known and not free) else None for size, known in sizes]
    batch = declared.shape[0] if declared.shape else None
    dtype = "string" if values.dtype.kind in "OSU" else values.dtype.name
    return Tensor(declared.name, dtype, (batch, *shape))


def mixes_rows(source: Source, reference: Reference) -> bool:
    """Whether the same batch is answered the same twice, but a row otherwise when it comes alone."""
    together = [values[:BATCH] for values in reference.inputs]
    alone = [values[:1] for values in reference.inputs]
    first, again, single = (_asked(source, inputs) for inputs in (together, together, alone))
    return _even(first, again) and not _even([values[:1] for values in first], single)


def _drawn(source: Source, how: Preprocessing | None) -> tuple[Arrays, Arrays, int]:
    """(random inputs, their answers, how many were drawn anew)."""
    texts = _texts(source)
    inputs, answers, size = _first_draw(source, how, texts)
    fallen = 0
    for draw in range(1, len(golden.BOUNDS) if how is None else 0):
        bad = ~_finite(answers)
        if not bad.any():
            break
        fallen += int(bad.sum())
        drawn = golden.random_inputs(source.inputs, how, source.vocabularies, size, draw, texts)
        new = [values[bad] for values in drawn]
        inputs, answers = _replaced(inputs, bad, new), _replaced(answers, bad, _asked(source, new))
    return inputs, answers, fallen


def _texts(source: Source) -> Sequence[str]:
    """Without the empty one where the model does not run on it alone, as a recurrent layer on no words does not."""
    if any(tensor.dtype == "string" for tensor in source.inputs):
        empty = golden.random_inputs(source.inputs, None, source.vocabularies, texts=[""])
        try:
            _asked(source, [values[:1] for values in empty])
        except BuildError:
            return [text for text in golden.TEXTS if text]
    return golden.TEXTS


def _first_draw(source: Source, how: Preprocessing | None, texts: Sequence[str]) -> tuple[Arrays, Arrays, int]:
    """The same and the size of axes that may have any: the smallest that the model runs at, and with an answer."""
    free = how is None and any(None in tensor.shape[1:] for tensor in source.inputs)
    named = [tensor.name for tensor in source.inputs if tensor.dtype == "string"]
    found: tuple[Arrays, Arrays, int] | None = None
    fault: BuildError | None = None
    for size in golden.SIZES if free else golden.SIZES[:1]:
        inputs = golden.random_inputs(source.inputs, how, source.vocabularies, size, texts=texts)
        try:
            found = inputs, _asked(source, inputs, "random text" if named else "this machine"), size
        except BuildError as error:
            fault = fault or error
            continue
        if _finite(found[1]).any():
            return found
    if found is not None:
        return found
    assert fault is not None  # noqa: S101 - or else a size was found
    if free:
        sizes = ", ".join(map(str, golden.SIZES))
        raise BuildError(
            f"{fault.message} Where an axis may have any size, {sizes} were tried: give rows that the model takes with "
            "--inputs FILE.npz."
        ) from fault
    if named:
        raise BuildError(
            f"{fault.message} Where it takes files of pictures, tf.Example or other text of a certain form, give rows "
            f"of it with --inputs FILE.npz: np.savez('FILE.npz', {named[0]}=np.array(list_of_bytes))."
        ) from fault
    raise fault


def _asked(source: Source, inputs: Sequence[np.ndarray], where: str = "this machine") -> Arrays:
    size = source.inputs[0].shape[0] or min(BATCH, len(inputs[0]))
    try:
        return list(in_batches(lambda values: tuple(source(*values)), inputs, size))
    except Exception as fault:  # TensorFlow raises many kinds
        raise BuildError(f"The model cannot be run on {where}: {reason(fault)}") from fault


def _finite(answers: Arrays) -> np.ndarray:
    """bool (n,)."""
    good = np.ones(len(answers[0]), bool)
    for values in answers:
        if values.dtype.kind == "f":
            good &= np.isfinite(values).reshape(len(values), -1).all(1)
    return good


def _replaced(whole: Arrays, rows: np.ndarray, parts: Arrays) -> Arrays:
    found = [values.copy() for values in whole]
    for values, part in zip(found, parts, strict=True):
        values[rows] = part
    return found


def _even(left: Arrays, right: Arrays) -> bool:
    return all(
        np.allclose(a, b, rtol=1e-3, atol=1e-5) if a.dtype.kind == "f" else np.array_equal(a, b)
        for a, b in zip(left, right, strict=True)
    )
