"""Trained weights -> calibrated, folded, proven bundle, with its model card. Runs on Keras' TensorFlow backend."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"  # before the first import of keras

import numpy as np
from PIL import Image
from rich.progress import track

from .. import preprocess
from ..build.assemble import Request, build
from ..build.exporting import EXPORTERS
from ..build.source import of_keras
from ..preprocess import Preprocessing
from . import calibration, card, curves, network, schedule

LABELS = ("cat", "dog")
NAME = "catdog"


def main() -> None:
    """Command line: `python -m model.training.export --help`."""
    parser = argparse.ArgumentParser(description="Make the bundle from a training run.")
    parser.add_argument("--photos", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--run", type=Path, required=True, help="folder of the training run")
    parser.add_argument("--store", type=Path, required=True, help="store to put the bundle in")
    parser.add_argument("--version", default="1")
    parser.add_argument("--side", type=int, default=128, help="input size of the served model in pixels")
    options = parser.parse_args()
    export(options.photos, options.run, options.store, options.version, options.side)


def export(photos: Path, run: Path, store: Path, version: str, side: int) -> None:
    """Calibrate on the validation photos, build the bundle, measure it as it is served, write the card."""
    with np.load(run / "average.npz") as saved:
        weights = [saved[f"w{index}"] for index in range(len(saved.files))]
    how = Preprocessing(height=side, width=side, method="bilinear", fit="stretch", range="-1..1")
    rows = card.manifest(photos)
    validation = [row for row in rows if row["split"] == "val"]
    tensors = np.stack([_tensor(photos / row["path"], how) for row in track(validation, "Reading validation photos")])
    truth = np.array([LABELS.index(row["label"]) for row in validation])

    plain = network.fold(weights, schedule.SHIPPED.blocks, side, temperature=1.0)
    logits = np.log(np.clip(plain.predict(tensors, batch_size=64, verbose=0), 1e-12, None))
    temperature = calibration.fit_temperature(logits, truth)
    model = network.fold(weights, schedule.SHIPPED.blocks, side, temperature)

    shutil.rmtree(store / NAME / version, ignore_errors=True)
    bundle = build(
        of_keras(model),
        Request(
            store=store,
            name=NAME,
            version=version,
            labels=LABELS,
            preprocessing=how,
            inputs=[golden_inputs(how)],
            engine="litert",  # the model card and the size limit are of this file
            built_from={
                "command": "./kiln train",
                "photos": f"{len(rows)}, in a manifest.csv of SHA-256 {card.digest(photos)}",
                "temperature": round(temperature, 4),
            },
        ),
        exporters={"litert": EXPORTERS["litert"]},
    )
    report = card.measure(bundle, tensors, truth, validation, logits)
    (bundle.folder / "metrics.json").write_text(json.dumps(report, indent=1) + "\n")
    histories = [run / "teacher" / "history.jsonl", run / "history.jsonl"]
    curves.draw([history for history in histories if history.is_file()], bundle.folder / "training.png")
    (bundle.folder / "MODEL_CARD.md").write_text(card.text(report, rows, bundle, card.digest(photos)))
    print(json.dumps({key: value for key, value in report.items() if not isinstance(value, list)}, indent=1))


def _tensor(path: Path, how: Preprocessing) -> np.ndarray:
    return preprocess.to_tensor(path.read_bytes(), how, preprocess.Limits())


def golden_inputs(how: Preprocessing) -> np.ndarray:
    """float32 (6, height, width, 3): a freely licensed cat, upright and in pieces, and patterns. No training photo."""
    cat = Image.open(Path(__file__).parents[2] / "tests" / "data" / "cat.jpg").convert("RGB")
    views = [cat, cat.crop((120, 40, 420, 340)), cat.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    size = (how.width, how.height)
    tensors = [np.asarray(view.resize(size, Image.Resampling.BILINEAR), np.float32) / 127.5 - 1 for view in views]
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0 : how.height, 0 : how.width].astype(np.float32) / how.height
    waves = np.stack([np.sin(6.3 * (x * 3 + y)), np.cos(6.3 * (y * 2 - x)), x * 2 - 1], -1)
    noise = rng.integers(0, 256, (how.height, how.width, 3)).astype(np.float32) / 127.5 - 1
    return np.stack([*tensors, waves, noise, np.zeros_like(noise)]).astype(np.float32)


if __name__ == "__main__":
    main()
