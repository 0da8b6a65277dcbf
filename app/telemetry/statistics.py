"""The metrics of all workers, by model and version, in the form of the Open Inference Protocol's statistics."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from . import metrics

# What counts requests, by the name that the protocol has for it. What is not measured by model has zeros.
_TIMES = {
    "success": "kiln_answer_seconds",
    "compute_input": "kiln_decode_seconds",
    "compute_infer": "kiln_infer_seconds",
}
_UNTIMED = ("queue", "compute_output", "cache_hit", "cache_miss")
_BATCH, _ERRORS = "kiln_batch_instances", "kiln_model_errors_total"


class Statistics:
    """What the metrics said when they were read. sums: (sample, model, version) -> its sum over all other labels."""

    def __init__(self, sums: dict[tuple[str, str, str], float]) -> None:
        self._sums = sums

    def of(self, model: str, version: str) -> dict[str, Any]:
        """One entry of "model_stats"."""

        def total(sample: str) -> float:
            return self._sums.get((sample, model, version), 0.0)

        def duration(name: str) -> dict[str, int]:
            return {"count": int(total(f"{name}_count")), "ns": int(total(f"{name}_sum") * 1e9)}

        stats = {name: duration(histogram) for name, histogram in _TIMES.items()}
        stats |= {name: {"count": 0, "ns": 0} for name in _UNTIMED}
        stats["fail"] = {"count": int(total(_ERRORS)), "ns": 0}
        return {
            "name": model,
            "version": version,
            "last_inference": 0,
            "inference_count": int(total(f"{_BATCH}_sum")),
            "execution_count": int(total(f"{_BATCH}_count")),
            "inference_stats": stats,
            "response_stats": {},
            "batch_stats": [],
            "memory_usage": [],
        }


def statistics() -> Statistics:
    """All workers together, now."""
    sums: dict[tuple[str, str, str], float] = defaultdict(float)
    for family in metrics.collected():
        for sample in family.samples:
            if "model" in sample.labels and "le" not in sample.labels:
                sums[sample.name, sample.labels["model"], sample.labels.get("version", "")] += sample.value
    return Statistics(sums)
