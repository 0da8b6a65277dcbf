"""LiteRT's failures: each is told once, however many there were before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model import engines
from model.bundle import Bundle
from tests import bundles

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
from model.build.assemble import Request, build
from model.build.source import of_keras

pytestmark = [pytest.mark.unit, pytest.mark.slow]
_FAILURES = 400  # the text of these is several times what an interpreter may keep


def three_indices() -> Any:
    """Three indices below 10 -> one number."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,), name="tokens", dtype="int32")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(10, 4)(inputs))
    return keras.Model(inputs, keras.layers.Dense(1, name="y")(embedded))


@pytest.fixture(scope="module", params=[three_indices, bundles.sequence], ids=["one shape", "any shape"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    model = of_keras(request.param())
    return build(model, Request(tmp_path_factory.mktemp("store"), "indices", "1", engine="litert"))


@pytest.mark.parametrize("count", [1, 130], ids=["alone", "many at once"])
def test_a_failure_is_told_once(bundle: Bundle, count: int) -> None:
    engine = engines.load("litert", bundle.check_file(bundle.engine_file("litert")))
    good, bad = np.full((count, 3), 3, np.int32), np.full((count, 3), 11, np.int32)
    [before] = engine(good)
    lengths = set()
    for _ in range(_FAILURES):
        with pytest.raises(RuntimeError, match="index") as failure:
            engine(bad)
        lengths.add(len(str(failure.value)))
    assert max(lengths) < 1000
    np.testing.assert_array_equal(engine(good)[0], before)
