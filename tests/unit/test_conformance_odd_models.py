"""The conformance kit and models of odd kinds: what they cannot show is not applicable, and no fault of a server's."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance import open_inference
from tests.conformance.checks import Result, Verdict
from tests.conformance.server import Reply
from tests.conformance.subject import Facts, Subject
from tests.conformance.tensors import Tensor
from tests.open_inference_stand_in import NAME, StandIn, Values

pytestmark = pytest.mark.unit

X, Y = Tensor("x", "FP32", (-1, 3)), Tensor("y", "FP32", (-1, 3))
CHECKS = {check.id.removeprefix("open_inference."): check for check in open_inference.DIALECT.checks}
# The stand-in answers whatever it is asked: of these, and of no refusals.
GOOD = [
    name
    for name in CHECKS
    if name.startswith(("infer.", "binary.", "classification.", "compression."))
    and not any(part in name for part in ("refuses", "unknown", "version", "length", "raw", "errors", "lives", "empty"))
    and name not in ("compression.no_gzip", "compression.cut", "compression.bomb", "compression.deflate")
    and name != "binary.truth_value"
]
IN_JSON = ["infer.flat", "infer.nested", "infer.id", "infer.one_output", "infer.null.id", "binary.inputs"]
IN_BINARY = ["binary.both", "binary.no_content_type", "infer.tensors", "compression.gzip", "compression.binary"]


def twice(given: Values) -> Values:
    return {"y": given["x"] * 2}


def judged(server: StandIn, names: list[str] = GOOD, facts: Facts | None = None) -> dict[str, Result]:
    subject = Subject(server, NAME, facts or Facts())
    dialect = type(open_inference.DIALECT)("odd", "Odd", lambda subject: True, tuple(CHECKS[name] for name in names))
    return dict(zip(names, dialect.judge(subject), strict=True))


def those(results: dict[str, Result], verdict: Verdict) -> dict[str, str]:
    return {name: result.seen for name, result in results.items() if result.verdict is verdict}


def test_a_model_that_is_not_odd_shows_nearly_all():
    found = judged(StandIn([X], [Y], twice))
    assert those(found, Verdict.DIFFERS) == {}
    assert those(found, Verdict.HOLDS).keys() >= {*IN_JSON, *IN_BINARY}


@pytest.mark.parametrize(("inputs", "outputs"), [("FP16", "FP16"), ("FP16", "FP32"), ("FP32", "FP16")])
def test_fp16_has_no_form_in_json(inputs, outputs):
    x, y = Tensor("x", inputs, (-1, 3)), Tensor("y", outputs, (-1, 3))

    def formula(given: Values) -> Values:
        return {"y": given["x"].astype(y.dtype)}

    found = judged(StandIn([x], [y], formula))
    assert those(found, Verdict.DIFFERS) == {}
    assert those(found, Verdict.HOLDS).keys() >= {*IN_BINARY}
    assert "FP16" in those(found, Verdict.NOT_APPLICABLE)["infer.flat"]
    nothing = judged(StandIn([x], [y], formula, extensions=()))
    assert those(nothing, Verdict.DIFFERS) == those(nothing, Verdict.HOLDS) == {}


def test_one_output_of_several_may_be_what_json_cannot_hold():
    outputs = [Tensor("a", "FP16", (-1, 3)), Tensor("b", "FP32", (-1, 3))]
    found = judged(StandIn([X], outputs, lambda given: {"a": given["x"].astype("f2"), "b": given["x"]}))
    assert those(found, Verdict.DIFFERS) == {}
    assert "binary.one_of_several_outputs" in those(found, Verdict.HOLDS)


def test_one_input_of_several_may_be_what_json_cannot_hold():
    inputs = [Tensor("a", "FP16", (-1,)), Tensor("b", "FP32", (-1,))]
    y = Tensor("y", "FP32", (-1,))
    found = judged(StandIn(inputs, [y], lambda given: {"y": given["a"].astype("f4") - given["b"]}))
    assert those(found, Verdict.DIFFERS) == {}
    assert "binary.one_of_several_inputs" in those(found, Verdict.HOLDS)


def no_numbers(given: Values) -> Values:
    return {"y": np.where(given["x"] < 1, np.float32("nan"), given["x"])}


def test_nan_is_refused_in_json_and_answered_in_binary():
    found = judged(StandIn([X], [Y], no_numbers))
    assert those(found, Verdict.DIFFERS) == {}
    assert those(found, Verdict.HOLDS).keys() >= {*IN_BINARY, "infer.not_finite"}
    assert "name examples by --facts" in those(found, Verdict.NOT_APPLICABLE)["infer.flat"]
    finite = judged(StandIn([X], [Y], no_numbers), facts=Facts(examples={"x": [[2, 3, 4], [5, 6, 7]]}))
    assert those(finite, Verdict.HOLDS).keys() >= {*IN_JSON, *IN_BINARY}


def test_nan_that_is_written_bare_is_one_difference():
    found = judged(StandIn([X], [Y], no_numbers, faults=["writes NaN"]))
    assert those(found, Verdict.DIFFERS).keys() == {"infer.not_finite"}


def test_an_output_without_dimensions():
    outputs = [Y, Tensor("total", "FP32", ())]
    found = judged(
        StandIn([X], outputs, lambda given: {"y": given["x"], "total": given["x"].sum()}), [*GOOD, "binary.raw"]
    )
    assert those(found, Verdict.DIFFERS) == {}
    assert those(found, Verdict.NOT_APPLICABLE).keys() >= {"infer.batch", "binary.raw"}


def test_an_input_without_dimensions():
    sizes = [f"refuses.shape_{name}" for name in ("negative", "huge", "beyond", "none")]
    sizes += [f"binary.refuses.shape_{name}" for name in ("larger", "huge", "wraps", "negative")]
    inputs, outputs = [Tensor("x", "FP64", ())], [Tensor("y", "FP64", ())]
    found = judged(StandIn(inputs, outputs, twice), [*GOOD, *sizes])
    assert those(found, Verdict.DIFFERS) == {}
    assert those(found, Verdict.NOT_APPLICABLE).keys() >= {*sizes}


@pytest.mark.parametrize("shape", [(-1, 3), (2, 3)])
def test_classes_of_equal_value_come_lowest_index_first(shape):
    def same(given: Values) -> Values:
        return {"y": np.ones_like(given["x"])}

    x, y = Tensor("x", "FP32", shape), Tensor("y", "FP32", shape)
    names = ["classification.best", "classification.all", "classification.ties"]
    right = judged(StandIn([x], [y], same), names)
    wrong = judged(StandIn([x], [y], same, faults=["last of equals first"]), names)
    verdict = Verdict.HOLDS if shape[0] == -1 else Verdict.NOT_APPLICABLE  # a fixed dimension is none of instances
    assert those(right, verdict).keys() == {*names}
    assert those(wrong, Verdict.DIFFERS).keys() == ({"classification.ties"} if shape[0] == -1 else set())


def test_without_ties_nothing_is_said_of_them():
    found = judged(StandIn([X], [Y], twice), ["classification.ties"])
    assert those(found, Verdict.NOT_APPLICABLE) == {
        "classification.ties": "no two classes of an instance have one value"
    }


def test_null_that_is_refused_is_found():
    found = judged(StandIn([X], [Y], twice, faults=["refuses null"]))
    nulls = {name for name in GOOD if name.startswith("infer.null.")}
    assert those(found, Verdict.DIFFERS).keys() == nulls
    assert len(nulls) == 5


def test_a_second_member_that_is_not_read_is_found():
    found = judged(StandIn([X], [Y], twice, faults=["reads one member"]))
    assert those(found, Verdict.DIFFERS).keys() == {"compression.gzip.members"}


class Bfloat(StandIn):
    """Its tensors are of a datatype that the protocol does not have."""

    def send(self, *asked, **more):
        reply = super().send(*asked, **more)
        return Reply(reply.status, reply.headers, reply.content.replace(b'"FP32"', b'"BF16"'))


def test_tritons_own_datatype_is_no_wrong_metadata_and_none_that_the_kit_has_values_of():
    found = judged(Bfloat([X], [Y], twice), ["metadata.model", *GOOD])
    assert those(found, Verdict.HOLDS).keys() == {"metadata.model"}
    assert those(found, Verdict.DIFFERS) == {}
