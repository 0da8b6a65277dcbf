"""The numbers of metrics: in files that others can add up, and gone when their version is."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from app.telemetry import metrics
from app.telemetry.declared import BATCH_INSTANCES, REGISTRY
from app.telemetry.values import Value, Values, digest
from model.store import State, Version

pytestmark = pytest.mark.unit

LABELS = ["model", "version"]


@pytest.fixture
def opened() -> Iterator[Callable[[Path, str], Values]]:
    with contextlib.ExitStack() as stack:
        yield lambda folder, slot: stack.enter_context(contextlib.closing(Values(folder, slot)))


def number(values: Values, version: str = "1", kind: str = "histogram") -> Value:
    return values(kind, "m", "m_sum", LABELS, ["pets", version], "Meaning.")


def read(path: Path) -> dict[str, float]:
    return {key: value for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path))}


def test_changes_are_seen_by_others_when_they_are_written(
    opened: Callable[[Path, str], Values], tmp_path: Path
) -> None:
    values = opened(tmp_path, "0")
    plain = values("counter", "c", "c_total", [], [], "Meaning.")
    plain.inc(2)
    plain.inc(0.5)
    key = mmap_key("c", "c_total", [], [], "Meaning.")
    assert read(tmp_path / "counter_0.db") == {key: 0.0}
    values.flush()
    assert read(tmp_path / "counter_0.db") == {key: 2.5}
    plain.set(1)
    values.flush()
    assert plain.get() == 1
    assert read(tmp_path / "counter_0.db") == {key: 1.0}


def test_a_successor_goes_on_where_the_file_ends(opened: Callable[[Path, str], Values], tmp_path: Path) -> None:
    for expected in (1.0, 2.0):
        values = opened(tmp_path, "3")
        value = number(values)
        value.inc(1)
        values.flush()
        assert value.get() == expected


def test_what_a_version_had_goes_with_it_alone(opened: Callable[[Path, str], Values], tmp_path: Path) -> None:
    values = opened(tmp_path, "0")
    number(values, "1").inc(1)
    number(values, "2").inc(1)
    gauge = values("gauge", "g", "g", LABELS, ["pets", "1"], "Meaning.", multiprocess_mode="livesum")
    values.forget("pets", "1")
    assert {file.name for file in tmp_path.iterdir()} == {
        f"histogram_0_{digest('pets', '2')}.db",
        "gauge_livesum_0.db",
    }
    gauge.set(0)
    number(values, "1").inc(5)
    values.flush()
    assert sum(read(tmp_path / f"histogram_0_{digest('pets', '1')}.db").values()) == 5


def test_without_room_it_counts_for_itself(
    opened: Callable[[Path, str], Values], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "histogram_0_x.db").mkdir()
    values = opened(tmp_path / "nowhere", "0")
    value = number(values)
    value.inc(3)
    values.flush()
    assert value.get() == 3
    assert caplog.record_tuples[0][1] == logging.ERROR
    assert "make room" in caplog.text


def test_counts_of_a_version_that_has_ended_go_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen() -> bool:
        samples = (sample for metric in REGISTRY.collect() for sample in metric.samples)
        return any(s.name == "kiln_batch_instances_count" and s.labels["model"] == "ended" for s in samples)

    for number in ("1", "2"):
        BATCH_INSTANCES.labels("ended", number, "litert").observe(1)
    metrics.model_state(Version("ended", "1", State.END))
    metrics.rest()
    assert seen()
    monkeypatch.setattr(metrics, "_KEPT_SECONDS", 0.0)
    metrics.model_state(Version("ended", "1", State.END))
    metrics.rest()
    assert seen()
    metrics.model_state(Version("ended", "2", State.END))
    metrics.model_state(Version("ended", "2", State.AVAILABLE))
    metrics.rest()
    assert seen()
    metrics.model_state(Version("ended", "2", State.END))
    metrics.rest()
    assert not seen()
