"""docs/api.md lists every error code that can be sent, with its status; nothing else is listed there."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from app import errors
from app.admission import REFUSALS
from deploy import answers
from model import errors as model_errors

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
Codes = dict[str, set[int]]  # code -> the statuses that the source gives with it; none where it computes them


def test_every_code_that_can_be_sent_is_in_the_table_and_no_other() -> None:
    assert sorted(_table()) == sorted(_sent())


def test_the_table_has_the_statuses_of_the_source() -> None:
    table = _table()
    assert {code: sorted(found - table[code]) for code, found in _sent().items() if found - table[code]} == {}


def _table() -> Codes:
    """The rows `| 400, 413 | `code`, `code` | meaning |` of the section on errors."""
    section = re.split(r"^## ", (ROOT / "docs" / "api.md").read_text(), flags=re.MULTILINE)[-1]
    assert section.startswith("Errors\n")
    found: Codes = {}
    for statuses, codes in re.findall(r"^\| ([0-9, ]+) \| ([^|]+) \|", section, re.MULTILINE):
        for code in re.findall(r"`([a-z0-9_]+)`", codes):
            assert code not in found, f"{code} has two rows"
            found[code] = {int(status) for status in statuses.split(",")}
    return found


def _sent() -> Codes:
    found: Codes = defaultdict(set)
    for status, code in [*_raised(), *_of_models(), *_of_nginx()]:
        found[code] |= {status} if status else set()
    for fault in (*answers._FAULTS.values(), answers._OURS):
        found[fault[1]].add(fault[0])
    for status, (code, _) in errors._HTTP_CODES.items():
        found[code].add(status)
    for code in REFUSALS:
        found[code] |= set()
    return found


def _of_models() -> Iterator[tuple[int, str]]:
    """What reaches a client of the errors of model/: all else there is an internal_error."""

    def kinds(kind: type[model_errors.ModelError]) -> Iterator[type[model_errors.ModelError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from kinds(child)

    for kind in kinds(model_errors.ModelError):
        status = next(errors._STATUS[known] for known in kind.__mro__ if known in errors._STATUS)
        if status != 500 and kind is not model_errors.PictureError:  # which its children alone are raised of
            yield status, kind.code


def _of_nginx() -> Iterator[tuple[int, str]]:
    conf = (ROOT / "deploy" / "nginx.conf").read_text()
    [block] = re.findall(r"map \$status \$kiln_error_code \{(.*?)\}", conf, re.DOTALL)
    for status, code in re.findall(r"(\w+) (\w+);", block):
        yield (500 if status == "default" else int(status)), code


# --- What app/ raises and answers -----------------------------------------------------------------------------------


class _Call(NamedTuple):
    """A call, the function that it is in, and the module of both."""

    node: ast.Call
    function: ast.FunctionDef
    module: ast.Module

    @property
    def name(self) -> str:
        return getattr(self.node.func, "attr", getattr(self.node.func, "id", ""))


def _calls() -> list[_Call]:
    modules = [ast.parse(file.read_text(), str(file)) for file in sorted((ROOT / "app").rglob("*.py"))]
    return [
        _Call(node, function, module)
        for module in modules
        for function in ast.walk(module)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
    ]


def _raised() -> Iterator[tuple[int, str]]:
    """(status, code) of each RequestError and of errors.response; 0 for a status that is no number in the source, or
    another protocol's for what it caught."""
    calls = _calls()
    for call in calls:
        if call.name in ("RequestError", "response") and len(call.node.args) > 1:
            status, code = call.node.args[:2]
            ours = isinstance(status, ast.Constant) and not isinstance(code, ast.Attribute)
            for text in _texts(code, call, calls):
                yield (status.value if ours else 0), text


def _texts(value: ast.expr, call: _Call, calls: list[_Call]) -> Iterator[str]:
    """All that an argument of a call can be. Fails for a form of it that this test does not know."""
    names = [argument.arg for argument in call.function.args.args]
    if isinstance(value, ast.Constant):
        yield value.value
    elif isinstance(value, ast.Attribute):
        assert value.attr == "code", ast.unparse(value)  # of an error that was caught
        yield from _caught(call)
    elif isinstance(value, ast.JoinedStr):
        begins, rest = value.values
        assert isinstance(begins, ast.Constant)
        assert isinstance(rest, ast.FormattedValue)
        yield from (f"{begins.value}{text}" for text in _texts(rest.value, call, calls))
    elif isinstance(value, ast.Name) and value.id in names:  # what it was called with, or its default
        place = names.index(value.id)
        for other in calls:
            if other.name == call.function.name and len(other.node.args) > place:
                yield from _texts(other.node.args[place], other, calls)
        if place >= len(names) - len(call.function.args.defaults):
            yield from _texts(call.function.args.defaults[place - len(names)], call, calls)
    else:
        assert isinstance(value, ast.Name), ast.unparse(value)
        yield from _assigned(value.id, call.module)


def _caught(call: _Call) -> Iterator[str]:
    """The codes of the errors of model/ in whose `except` a call is; a RequestError has its own from where it began."""
    for handler in ast.walk(call.function):
        if isinstance(handler, ast.ExceptHandler) and handler.type and call.node in ast.walk(handler):
            for kind in ast.walk(handler.type):
                name = getattr(kind, "id", "")
                if name != "PictureError" and issubclass(getattr(model_errors, name, object), model_errors.ModelError):
                    yield getattr(model_errors, name).code


def _assigned(name: str, module: ast.Module) -> Iterator[str]:
    """The texts in what a name, or the table that it is looked up in, is set to."""
    for node in ast.walk(module):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id in (name, f"_{name.upper()}S"):
                found = (inner.value for inner in ast.walk(node.value) if isinstance(inner, ast.Constant))
                yield from (text for text in found if isinstance(text, str))
