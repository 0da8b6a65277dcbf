"""The conformance kit without a server: what it imports, makes, reads and prints."""

from __future__ import annotations

import ast
import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance import DIALECTS, tensors
from tests.conformance.__main__ import main
from tests.conformance.checks import (
    UNREADABLE,
    Check,
    Checks,
    Dialect,
    Differs,
    NotApplicable,
    Result,
    Verdict,
    message,
    refused,
)
from tests.conformance.open_inference.talk import LENGTH, outputs
from tests.conformance.pairs import checks as pairs
from tests.conformance.report import Judgement, fails, table, to_json
from tests.conformance.rows import agree, named_rows, plain_rows
from tests.conformance.server import NoAnswer, Reply, Server
from tests.conformance.subject import Facts, FactsError, Subject
from tests.conformance.tensors import DTYPES, Tensor, from_binary, made_up, to_binary

pytestmark = pytest.mark.unit

KIT = Path(__file__).parents[1] / "conformance"
ALLOWED = {"requests", "numpy"}
OPTIONAL = {"stock_client.py": {"tritonclient"}}  # inside functions: the kit works without


# --- A part of its own ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [p for p in sorted(KIT.rglob("*.py")) if "reference" not in p.parts], ids=lambda p: str(p.relative_to(KIT))
)
def test_it_imports_nothing_of_ours(path):
    depth = len(path.relative_to(KIT).parts)  # of dots that stay within the kit
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= depth, f"{path}:{node.lineno} leaves the kit"
            names = [node.module] if not node.level else []
        else:
            continue
        for name in names:
            top = name.partition(".")[0]
            optional = OPTIONAL.get(path.name, set()) if node.col_offset else set()
            assert top in ALLOWED | optional | sys.stdlib_module_names, f"{path}:{node.lineno} imports {name}"


def test_it_can_be_copied_out(tmp_path):
    shutil.copytree(KIT, tmp_path / "conformance", ignore=shutil.ignore_patterns("__pycache__", "reference"))
    command = [sys.executable, "-m", "conformance", "--help"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "--model" in answer.stdout


def test_every_check_says_what_it_asks_and_where_that_is_promised():
    checks = [check for dialect in DIALECTS for check in dialect.checks]
    assert len({check.id for check in checks}) == len(checks) > 300
    for check in checks:
        assert check.id.split(".")[0] in {dialect.name for dialect in DIALECTS}
        assert check.asks, check.id
        assert check.section, check.id


# --- Facts and values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((KIT / "facts").glob("*.json")), ids=lambda p: p.stem)
def test_the_facts_that_come_with_it_can_be_read(path):
    facts = Facts.read(path)
    assert facts.inputs
    assert set(facts.examples) == {tensor.name for tensor in facts.inputs}
    assert set(facts.answers) == {tensor.name for tensor in facts.outputs}
    assert set(facts.pairs) <= {dialect.name for dialect in DIALECTS}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"colour": "red"}',
        '{"inputs": [{"name": "x"}]}',
        '{"inputs": [{"name": 1, "datatype": "F", "shape": []}]}',
        '{"pairs": {"tf_serving": [{"path": "/"}]}}',
    ],
)
def test_facts_that_are_none(tmp_path, text):
    (tmp_path / "facts.json").write_text(text)
    with pytest.raises(FactsError, match="holds no facts"):
        Facts.read(tmp_path / "facts.json")


@pytest.mark.parametrize("datatype", DTYPES)
def test_values_survive_the_binary_form(datatype):
    values = made_up(Tensor("x", datatype, (-1, 2, -1)), 2)
    assert values.shape == (2, 2, 3)
    assert not np.array_equal(values[0], values[1])  # else a server may mix them up and nobody sees
    content = to_binary(values, Tensor("x", datatype, (-1, 2, -1)))
    assert np.array_equal(from_binary(content, datatype, [2, 2, 3]), values)


@given(st.binary(max_size=40), st.sampled_from(sorted(DTYPES)))
def test_bytes_of_a_server_are_values_or_a_value_error(content, datatype):
    with contextlib.suppress(ValueError):
        from_binary(content, datatype, [-1])


@pytest.mark.parametrize("datatype", DTYPES)
@pytest.mark.parametrize("shape", [(), (-1,), (-1, 2)])
def test_requests_of_every_datatype_can_be_written(datatype, shape):
    subject = Subject(Server("http://nowhere"), "m", Facts(inputs=(Tensor("x", datatype, shape),)))
    (value,) = subject.values().values()
    for flat in (True, False):
        json.dumps(tensors.to_json(value, flat=flat))
    if shape:
        json.dumps([plain_rows(subject), named_rows(subject)])


def test_examples_are_as_many_as_the_fewest_known_and_answers_are_of_these():
    inputs = (Tensor("a", "FP32", (-1,)), Tensor("b", "INT8", (-1, 1)))
    subject = Subject(Server("http://nowhere"), "m", Facts(inputs, examples={"a": [7.0]}, answers={"y": [1, 2, 3]}))
    assert {name: len(value) for name, value in subject.values().items()} == {"a": 1, "b": 1}
    assert subject.answers() == {"y": [1]}
    subject.facts.examples = {"a": [7.0, 8.0, 9.0]}
    assert subject.answers() == {"y": [1, 2]}


@pytest.mark.parametrize("example", ["text", [["a"]], [[1]], [[1, 2, 3]], [], [[1, 2], [1]], [[300, 1]], [[None, 1]]])
def test_an_example_that_does_not_fit_is_no_fault_of_the_server(example):
    facts = Facts((Tensor("x", "INT8", (-1, 2)),), examples={"x": example})
    (result,) = dialect(lambda s: str(s.values())).judge(Subject(Server("http://nowhere"), "m", facts))
    assert result.verdict is Verdict.NOT_APPLICABLE
    assert "the example of 'x'" in result.seen


def test_rows_of_one_input_are_plain_and_of_several_named():
    server = Server("http://nowhere")
    one = Subject(server, "m", Facts(inputs=(Tensor("x", "FP32", (-1, 2)),)))
    first, second = plain_rows(one)
    assert len(first) == len(second) == 2
    assert named_rows(one, 1) == [{"x": first}]
    two = Subject(server, "m", Facts(inputs=(Tensor("a", "INT8", (-1,)), Tensor("b", "BYTES", (-1,)))), photo=b"\xff")
    assert plain_rows(two) == [{"a": 0, "b": {"b64": "/w=="}}, {"a": 1, "b": {"b64": "/w=="}}]


def test_answers_agree_within_the_tolerance():
    subject = Subject(Server("http://nowhere"), "m")
    assert agree(subject, [{"p": [1.0, 2]}], [{"p": [1.00001, 2.0]}])
    assert agree(subject, {"q": float("nan")}, {"q": float("nan")})
    assert not agree(subject, [[1.0]], [1.0])
    assert not agree(subject, [{"p": 1}], [{"q": 1}])
    assert not agree(subject, [{"p": 1}], [1])
    assert not agree(subject, ["a"], ["b"])
    assert not agree(subject, [1_000_000], [1_000_001])  # the tolerance is of floats


# --- Answers that lie -----------------------------------------------------------------------------------------------


def answer(*outputs, head=0, tail=b"", **more):
    """An answer of the Open Inference Protocol. head: how much its length header is off."""
    content = json.dumps({"model_name": "m", "outputs": list(outputs), **more}).encode()
    headers = {LENGTH: str(len(content) + head)} if tail or head else {}
    return Reply(200, headers, content + tail)


GOOD = {"name": "y", "datatype": "INT16", "shape": [1, 2], "data": [1, 2]}
BINARY = {"name": "y", "datatype": "INT16", "shape": [1, 2], "parameters": {"binary_data_size": 4}}


def test_good_answers_are_read():
    for reply in (answer(GOOD), answer(GOOD | {"data": [[1, 2]]}), answer(BINARY, tail=b"\1\0\2\0")):
        found = outputs(reply)["y"]
        assert found.values.tolist() == [[1, 2]]
        assert found.binary is (LENGTH in reply.headers)
    assert outputs(answer(GOOD | {"data": [1.0, 2]}))["y"].values.tolist() == [[1, 2]]
    for datatype, data in (
        ("BOOL", [True, False]),
        ("BYTES", ["a", ""]),
        ("FP32", [1, 0.5]),
        ("UINT64", [2**64 - 1, 0]),
    ):
        assert outputs(answer(GOOD | {"datatype": datatype, "data": data}))["y"].values.ravel().tolist() == data
    assert outputs(answer(GOOD | {"parameters": None}, id=None))["y"].shape == [1, 2]
    both = answer(BINARY, GOOD | {"name": "z"}, BINARY | {"name": "w"}, tail=b"\1\0\2\0\3\0\4\0")
    assert {name: output.values.tolist() for name, output in outputs(both).items()} == {
        "y": [[1, 2]],
        "z": [[1, 2]],
        "w": [[3, 4]],
    }


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, {}, b""),
        Reply(200, {}, b"[]"),
        Reply(200, {}, b'{"model_name": "m", "outputs": NaN}'),
        Reply(200, {}, b"[" * 100_000),
        answer(GOOD, model_name=7),
        answer(GOOD, GOOD),
        answer(GOOD | {"datatype": "FP31"}),
        answer(GOOD | {"shape": [1, 3]}),
        answer(GOOD | {"shape": [-1, 2]}),
        answer(GOOD | {"shape": [True, 2]}),
        answer(GOOD | {"data": [1, None]}),
        answer(GOOD | {"data": [1, "two"]}),
        answer(GOOD | {"data": [1, "2"]}),
        answer(GOOD | {"data": [1, 0.5]}),
        answer(GOOD | {"data": [1, True]}),
        answer(GOOD | {"data": [1, 40_000]}),
        answer(GOOD | {"data": [1, float("inf")]}),
        answer(GOOD | {"datatype": "BOOL"}),
        answer(GOOD | {"datatype": "BYTES"}),
        answer(GOOD | {"datatype": "FP32", "data": [1, "2"]}),
        answer(GOOD | {"datatype": "FP32", "data": [1, True]}),
        answer(GOOD | {"parameters": {"binary_data_size": 4}}, tail=b"\1\0\2\0"),
        answer({key: value for key, value in GOOD.items() if key != "data"}),
        answer(BINARY),
        answer(BINARY, tail=b"\1\0\2"),
        answer(BINARY, tail=b"\1\0\2\0\0"),
        answer(BINARY, head=1, tail=b"\1\0\2\0"),
        answer(BINARY, head=-1, tail=b"\1\0\2\0"),
        answer(BINARY, head=1000, tail=b"\1\0\2\0"),
        answer(BINARY | {"shape": [1, 3]}, tail=b"\1\0\2\0"),
        answer(BINARY | {"datatype": "BYTES"}, tail=b"\1\0\2\0"),
        answer(BINARY | {"parameters": {"binary_data_size": "4"}}, tail=b"\1\0\2\0"),
    ],
)
def test_answers_that_lie_are_differences(reply):
    with pytest.raises((Differs, *UNREADABLE)):
        outputs(reply)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda t: st.lists(t) | st.dictionaries(st.text(), t)))
def test_whatever_json_a_server_answers_the_kit_lives(body):
    for content in (body, {"model_name": "m", "outputs": body}, {"model_name": "m", "outputs": [body]}):
        with contextlib.suppress(Differs, *UNREADABLE):
            outputs(Reply(200, {}, json.dumps(content).encode()))


# --- Judgements -----------------------------------------------------------------------------------------------------


def test_errors():
    assert refused(Reply(404, {}, b"gone")) == "404 gone"
    assert message(Reply(400, {}, b'{"error": "no"}')) == "no"
    with pytest.raises(Differs, match="expected a 4xx or 501"):
        refused(Reply(500, {}, b""), {*range(400, 500), 501})
    for body in (b"", b"[]", b'{"error": 7}', b'{"error": ""}', b'{"detail": "no"}'):
        with pytest.raises(Differs):
            message(Reply(400, {}, body))


def dialect(*judges, required=True):
    checks = Checks("one")
    for number, judge in enumerate(judges):
        checks.add(f"check_{number}", "something", "here", judge, required=required)
    return Dialect("one", "The One", lambda subject: True, tuple(checks))


def judgement(*judges, required=True, **more):
    one = dialect(*judges, required=required)
    fields = {"offered": True, "asked": False, **more}
    return Judgement(one, results=tuple(one.judge(Subject(Server("http://nowhere"), "m"))), **fields)


def raising(error):
    def judge(subject):
        raise error

    return judge


def test_whatever_an_answer_breaks_is_a_difference():
    broken = [Differs("so"), NoAnswer("none"), KeyError("outputs"), TypeError("int"), ZeroDivisionError(), IndexError()]
    found = judgement(*map(raising, broken)).results
    assert {result.verdict for result in found} == {Verdict.DIFFERS}
    assert "KeyError" in found[2].seen


def test_what_fails():
    holds, differs, none = (lambda subject: "fine"), raising(Differs("so")), raising(NotApplicable("why"))
    assert not fails([judgement(holds, none)])
    assert fails([judgement(holds, differs)])
    assert not fails([judgement(holds, differs, required=False)])
    assert fails([judgement(offered=False, asked=True)])
    assert not fails([judgement(holds), judgement(offered=False)])
    assert fails([judgement(offered=False), judgement(offered=False)])


def test_the_table_and_the_json():
    holds, differs, none = (
        (lambda subject: "fine"),
        raising(Differs("so it was")),
        raising(NotApplicable("that is why")),
    )
    judged = judgement(holds, differs, none)
    text = table([judged, judgement(offered=False)], width=100)
    assert "The One (one): 1 hold, 1 differ (1 of them required), 1 not applicable" in text
    assert "The One (one): not offered" in text
    assert "-> so it was" in text
    assert "-> that is why" in text
    assert "fine" not in text
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "check_0" not in table([judged], all_rows=False)
    said = to_json("http://nowhere", "m", [judged])
    assert said["conforms"] is False
    assert [check["verdict"] for check in said["dialects"]["one"]["checks"]] == ["holds", "differs", "not applicable"]


def test_results_know_whether_they_fail():
    check = Check("one.a", "asks", "here", lambda subject: "", required=False)
    assert not Result(check, Verdict.DIFFERS, "so").fails


def test_pairs_need_facts():
    (check,) = pairs("tf_serving", "here")
    with pytest.raises(NotApplicable):
        check.judge(Subject(Server("http://nowhere"), "m"))


class Canned(Server):
    """A server that is a function of method, path, content and headers."""

    def __init__(self, answer):
        super().__init__("http://nowhere")
        self.answer = answer

    def send(self, method, path, body=None, headers=None):
        return self.answer(method, path, body, headers)


def test_pairs_are_of_the_model_that_is_judged():
    def echo(method, path, content, headers):
        return Reply(200, {}, json.dumps([method, path, content.decode(), headers]).encode())

    (check,) = pairs("sagemaker", "here")
    pair = {"path": "/{model}", "headers": {"A": "name={model}"}, "content": "{}", "status": 200}
    good = pair | {"answer": ["POST", "/a%20%C3%A9", "{}", {"A": "name=a é"}]}
    bodiless = {"method": "GET", "path": "/x", "status": 200, "answer": ["GET", "/x", "", {}]}
    labelled = {"path": "/{model}/labels/{label}", "status": 500}
    facts = Facts(pairs={"sagemaker": [good, bodiless, labelled]})
    subject = Subject(Canned(echo), "a é", facts)
    assert check.judge(subject) == "2 pairs; 1 need a version or a label, and none is known"
    facts.label = "new"
    with pytest.raises(Differs, match="1 of 3 differ"):
        check.judge(subject)
    with pytest.raises(NotApplicable, match="every pair needs"):
        check.judge(Subject(Canned(echo), "m", Facts(pairs={"sagemaker": [labelled]})))


# --- The command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["http://127.0.0.1:1"],
        ["127.0.0.1:1", "--model", "m"],
        ["http://127.0.0.1:1", "--model", "m", "--only", "soap"],
        ["http://127.0.0.1:1", "--model", "m", "--facts", "/nowhere.json"],
        ["http://127.0.0.1:1", "--model", "m", "--photo", "/nowhere.jpg"],
        ["http://127.0.0.1:1", "--model", "m", "--header", "no colon"],
    ],
)
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: ./kiln conform" in capsys.readouterr().err


def test_a_server_that_is_not_there(capsys):
    assert main(["http://127.0.0.1:1", "--model", "m"]) == 2
    assert "no answer to GET /" in capsys.readouterr().err


def test_paths_are_where_the_caller_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KILN_CWD", str(tmp_path))
    (tmp_path / "facts.json").write_text(json.dumps({"version": "1"}))
    assert main(["http://127.0.0.1:1", "--model", "m", "--facts", "facts.json"]) == 2
    assert "no answer" in capsys.readouterr().err
