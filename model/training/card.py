"""Measures a bundle on the validation photos and writes its model card."""

from __future__ import annotations

import csv
import hashlib
import math
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from .. import engines
from ..bundle import Bundle
from . import calibration

Row = dict[str, str]
COLUMNS = ("path", "label", "split", "origin")  # of manifest.csv that training reads; it may have more
# The copies of the collection, by their names in the manifest and in metrics.json -> what tells them apart.
COPIES = {
    "CNN-for-image-Classification": "the copy with a short side of 144 px",
    "Deep-Learning-CarlosFS": "the copy of 140 x 140 px",
}


def missing(photos: Path) -> list[str]:
    """The columns that manifest.csv lacks."""
    with (photos / "manifest.csv").open(newline="") as file:
        found = csv.DictReader(file).fieldnames or ()
    return [column for column in COLUMNS if column not in found]


def manifest(photos: Path) -> list[Row]:
    """The rows of manifest.csv."""
    with (photos / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def digest(photos: Path) -> str:
    """sha256 of manifest.csv, in hex. It stands for the photos themselves only where their checksums are in there."""
    return hashlib.sha256((photos / "manifest.csv").read_bytes()).hexdigest()


def wilson(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, p = 1.96, right / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return middle - half, middle + half


def measure(
    bundle: Bundle, tensors: np.ndarray, truth: np.ndarray, rows: list[Row], logits: np.ndarray
) -> dict[str, Any]:
    """Accuracy, calibration, agreement of the engines and speed, on validation photos as the service sees them.

    tensors: float32 (n, height, width, 3); truth: int (n,); logits: float (n, labels) before calibration.
    """
    scores = {name: engines.load(name, bundle.folder / file.name)(tensors)[0] for name, file in bundle.engines.items()}
    served, guess = scores["litert"], scores["litert"].argmax(1)
    right = int((guess == truth).sum())
    wrong = [
        {"photo": row["path"], "said": bundle.labels[said], "score": round(float(score), 3)}
        for row, said, actual, score in zip(rows, guess, truth, served.max(1), strict=True)
        if said != actual
    ]
    origins = Counter(row["origin"] for row in rows)
    missed = Counter(row["origin"] for row, said, actual in zip(rows, guess, truth, strict=True) if said != actual)
    return {
        "photos": len(truth),
        "accuracy": right / len(truth),
        "interval": list(wilson(right, len(truth))),
        "confusion": [[int(((truth == a) & (guess == b)).sum()) for b in (0, 1)] for a in (0, 1)],
        "by_origin": {origin: 1 - missed[origin] / count for origin, count in origins.items()},
        "expected_calibration_error": calibration.expected_error(served, truth),
        "cross_fitted_calibration_error": calibration.cross_fitted_error(logits, truth),
        "log_loss": float(-np.log(served[np.arange(len(truth)), truth] + 1e-12).mean()),
        "largest_engine_difference": float(np.abs(scores["keras"] - served).max()),
        "engine_label_agreement": float((scores["keras"].argmax(1) == guess).mean()),
        "milliseconds": _milliseconds(bundle, tensors),
        "compiled_bytes": bundle.engines["litert"].size,
        "parameters": _parameters(bundle),
        "wrong": sorted(wrong, key=lambda row: -row["score"]),
    }


def _milliseconds(bundle: Bundle, tensors: np.ndarray) -> float:
    """Median time of one picture in the compiled engine, one thread."""
    engine = engines.load("litert", bundle.folder / bundle.engines["litert"].name)
    times = []
    for tensor in tensors[:300]:
        started = time.perf_counter()
        engine(tensor[np.newaxis])
        times.append(time.perf_counter() - started)
    return round(float(np.median(times)) * 1000, 3)


def _parameters(bundle: Bundle) -> int:
    import keras

    return int(keras.models.load_model(bundle.folder / bundle.engines["keras"].name, compile=False).count_params())


def text(report: dict[str, Any], rows: list[Row], bundle: Bundle, checksum: str) -> str:
    """The model card, in Markdown. checksum: see digest."""
    counts = Counter((row["split"], row["label"]) for row in rows)
    low, high = report["interval"]
    (cat_cat, cat_dog), (dog_cat, dog_dog) = report["confusion"]
    error, fitted_error = report["expected_calibration_error"], report["cross_fitted_calibration_error"]
    agreement, difference = report["engine_label_agreement"], report["largest_engine_difference"]
    built = bundle.built
    origins = "\n".join(
        f"| {COPIES.get(origin, origin)} | {share:.1%} |" for origin, share in sorted(report["by_origin"].items())
    )
    return f"""# Model card: {bundle.name} {bundle.version}

Tells photos of cats from photos of dogs. Trained from scratch in Keras by `./kiln train`; no pretrained weights.

**Use it for** trying Kiln and as a template for your own model. **Not for** decisions about animals or people, for
pictures with neither animal or both (it must say one of the two), or for drawings.

## Data and its terms
{sum(counts.values()):,} labelled photos of the Asirra / "Dogs vs. Cats" collection, which Microsoft Research built with
Petfinder.com, in two public reduced copies (short side 144 px with aspect kept; 140 x 140 px squashed). Microsoft
Research published the collection for academic research; it may be used for non-commercial research and may not be
published again without their permission. The photos are not part of this project; the weights are derived from them.

| | cat | dog |
|---|---|---|
| training | {counts["train", "cat"]:,} | {counts["train", "dog"]:,} |
| validation | {counts["val", "cat"]:,} | {counts["val", "dog"]:,} |

The split is the collection's own (about 5 % by hash, no near duplicates across it). Validation photos chose the
temperature and when to stop looking; no weight was fitted to them.

## Results on the {report["photos"]:,} validation photos, as served
| | |
|---|---|
| accuracy | **{report["accuracy"]:.2%}** (95 % interval {low:.2%} to {high:.2%}) |
| expected calibration error, 15 bins | {error:.4f} ({fitted_error:.4f} cross-fitted) |
| log loss | {report["log_loss"]:.4f} |
| compiled file | {report["compiled_bytes"] / 1e6:.2f} MB, {report["parameters"]:,} parameters |
| one picture in the engine, one core | {report["milliseconds"]:.2f} ms (median, on the machine that built it) |
| Keras against the compiled engine | same label on {agreement:.2%}, scores within {difference:.1e} |

| truth | said cat | said dog |
|---|---|---|
| cat | {cat_cat} | {cat_dog} |
| dog | {dog_cat} | {dog_dog} |

| validation photos of | accuracy |
|---|---|
{origins}

![training curves](training.png)

## Known failures
Seen among the mistakes on the validation photos, which `metrics.json` lists with their scores:
- People fill the picture and hold the animal, or it is small in a room: the largest group.
- Black animals whose face does not show, curled up or lying on dark ground.
- Animals seen from above or from the side, and spotted cats walking.
- Dogs with pointed ears or a cat-like pose are taken for cats.

Not seen there, and certain: anything that is neither cat nor dog gets one of the two labels, at times with a high
score.

## How it was made
Keras {built["keras"]}, built {built["at"]}. The scores are the softmax of the logits divided by a temperature of
{built["temperature"]}, which makes them fit how often they are right. The network and the schedule are in
`model/training/network.py` and `schedule.py`.

`./kiln train --photos FOLDER` makes it again of photos of your own. The folder has a `manifest.csv` with the columns
`path` (of the photo, from the folder), `label` (`cat` or `dog`), `split` (`train` or `val`) and `origin` (any name;
accuracy by it is in the table above). That of this model lists {len(rows):,} photos, and has the SHA-256
`{checksum}`.
"""
