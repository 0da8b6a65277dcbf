"""The training curves as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def draw(histories: Sequence[Path], picture: Path) -> None:
    """Draw loss, validation accuracy and learning rate over the epochs of each history.jsonl in turn into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows: list[dict[str, Any]] = []
    for history in histories:
        own = [json.loads(line) for line in history.read_text().splitlines()]
        rows += [row | {"epoch": row["epoch"] + offset} for offset in [len(rows)] for row in own]
    checked = [row for row in rows if "accuracy" in row]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.plot([row["epoch"] for row in rows], [row["loss"] for row in rows], label="training loss (augmented)")
    left.plot([row["epoch"] for row in checked], [row["log_loss"] for row in checked], label="validation log loss")
    left.plot([row["epoch"] for row in rows], [row["lr"] for row in rows], ":", label="learning rate")
    right.plot([row["epoch"] for row in checked], [100 * row["accuracy"] for row in checked], color="C2")
    right.set(xlabel="epoch", ylabel="validation accuracy, %")
    left.set(xlabel="epoch")
    left.legend()
    start = 0
    for index, row in enumerate(rows):
        if index + 1 == len(rows) or rows[index + 1]["side"] != row["side"]:
            right.axvspan(start + 0.5, row["epoch"] + 0.5, alpha=0.08, color=f"C{row['side'] % 7}")
            right.text(
                (start + row["epoch"] + 1) / 2,
                0.02,
                f"{row['side']} px",
                ha="center",
                transform=right.get_xaxis_transform(),
            )
            start = row["epoch"]
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
