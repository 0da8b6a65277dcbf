"""`./kiln train`: photos -> trained weights -> bundle, resuming where it stopped."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from . import card

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Train (Keras on PyTorch), then export (Keras on TensorFlow) in a process of its own: one backend a process."""
    parser = argparse.ArgumentParser(prog="kiln train", description="Train the shipped model again from its photos.")
    parser.add_argument(
        "--photos",
        type=Path,
        default=ROOT.parent / "shared" / "pettrain",
        help="folder with the photos and a manifest.csv that has a row for each, with the columns path (from the "
        "folder), label (cat or dog), split (train or val) and origin (any name; accuracy is told for each)",
    )
    parser.add_argument("--run", type=Path, default=ROOT / "model" / "training" / "runs" / "catdog", help="checkpoints")
    parser.add_argument("--store", type=Path, default=ROOT / "model" / "store", help="store for the bundle")
    parser.add_argument("--version", default="1", help="version of the bundle; replaced if it is there")
    parser.add_argument("--export-only", action="store_true", help="make the bundle from the checkpoints as they are")
    options = parser.parse_args()
    if not (options.photos / "manifest.csv").is_file():
        sys.exit(f"kiln: {options.photos} has no manifest.csv. Give the folder of photos with --photos.")
    if lacking := card.missing(options.photos):
        sys.exit(f"kiln: {options.photos / 'manifest.csv'} lacks the columns: {', '.join(lacking)}. See --help.")
    if not options.export_only:
        from . import fit, photos, schedule

        train, val = (photos.read_split(options.photos, split) for split in ("train", "val"))
        print(f"{len(train)} photos to train on, {len(val)} to validate, on {fit.DEVICE}")
        print(f"First the teacher, {schedule.TEACHER.epochs} epochs:")
        fit.fit(train, val, schedule.TEACHER, options.run / "teacher")
        print(f"Then the network that ships, {schedule.SHIPPED.epochs} epochs:")
        teacher = fit.trained(schedule.TEACHER, options.run / "teacher")
        fit.fit(train, val, schedule.SHIPPED, options.run, teacher)
    if not (options.run / "average.npz").is_file():
        sys.exit(f"kiln: {options.run} holds no trained weights yet. Run without --export-only first.")
    names = ("photos", "run", "store", "version")
    arguments = [
        f"--{name}={Path(getattr(options, name)).resolve() if name != 'version' else options.version}" for name in names
    ]
    sys.exit(subprocess.call([sys.executable, "-m", "model.training.export", *arguments], cwd=ROOT))  # noqa: S603


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nkiln: Stopped. The same command goes on after the last whole epoch.")
