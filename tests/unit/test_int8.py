"""What 8 bits are calibrated on, and what their loss is measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model import engines
from model.build import held_out

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
import keras
from keras import layers

from model.build import export_litert, report
from model.build.assemble import Request, build
from model.build.exporting import EXPORTERS
from model.build.source import of_keras

pytestmark = [pytest.mark.unit, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.filterwarnings("ignore:\\s*Warning. tf.lite.Interpreter is deprecated:UserWarning")  # the converter's own
@pytest.mark.parametrize("turned", [False, True])
def test_each_input_is_calibrated_on_its_own_samples(tmp_path: Path, turned: bool) -> None:
    keras.utils.set_random_seed(2)
    picture, numbers = keras.Input((16, 16, 3), name="z"), keras.Input((5,), name="a")
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(picture))
    answer = layers.Dense(3)(layers.Concatenate()([pooled, numbers]))
    model = keras.Model([numbers, picture] if turned else [picture, numbers], answer)
    of_keras(model).save_graph(tmp_path / "graph")
    random = np.random.default_rng(0)
    rows = [random.normal(size=(20, *entered.shape[1:])).astype(np.float32) for entered in model.inputs]
    np.savez(tmp_path / "samples.npz", **{f"input_{place}": values for place, values in enumerate(rows)})
    file = tmp_path / "model.int8.tflite"
    file.write_bytes(export_litert.convert(tmp_path / "graph", tmp_path / "samples.npz", int8=True))
    wanted = model.predict_on_batch(rows)
    assert np.abs(engines.load("litert-int8", file)(*rows)[0] - wanted).max() < 0.05 * np.abs(wanted).max()


@pytest.mark.parametrize(("count", "own"), [(48, 40), (208, 200), (41, 41), (500, 500)])
def test_the_loss_is_of_rows_that_were_not_calibrated_on(count: int, own: int) -> None:
    rows = held_out.rows(count, own)
    assert rows.apart
    assert sorted([*rows.calibrated, *rows.measured]) == list(range(count - own, count))
    assert abs(len(rows.calibrated) - len(rows.measured)) <= 1


@pytest.mark.parametrize(("count", "own", "measured"), [(8, 0, 8), (20, 12, 12), (39, 39, 39)])
def test_few_rows_are_all_calibrated_on(count: int, own: int, measured: int) -> None:
    rows = held_out.rows(count, own)
    assert not rows.apart
    assert list(rows.calibrated) == list(range(count))
    assert list(rows.measured) == list(range(count - measured, count))


@pytest.mark.filterwarnings("ignore:\\s*Warning. tf.lite.Interpreter is deprecated:UserWarning")  # the converter's own
@pytest.mark.parametrize("count", [60, 20])
def test_numbers_beyond_what_was_calibrated_show_in_the_loss(tmp_path: Path, count: int) -> None:
    """Every second row is ten times as large. They are cut off where only the others were seen, and that shows."""
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((16,)), layers.Dense(32, "relu"), layers.Dense(4)])
    rows = np.random.default_rng(0).uniform(-1, 1, (count, 16)).astype(np.float32)
    rows[1::2] *= 10
    request = Request(tmp_path / "store", "rows", "1", inputs=[rows], quantize=("int8",))
    bundle = build(of_keras(model), request, exporters={"litert": EXPORTERS["litert"]})
    found = {candidate.engine: candidate for candidate in bundle.candidates}
    said = "\n".join(report.reasons(bundle))
    if count >= held_out.ENOUGH:
        assert found["litert-int8"].largest > 0.3
        assert "calibrated on 30 rows; its loss is of 30 others" in said
    else:
        assert found["litert-int8"].largest < 0.1
        assert "calibrated on the rows that its loss is of; to see it on others, give 40 rows" in said
