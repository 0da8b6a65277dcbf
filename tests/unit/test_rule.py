"""URL rules that compile what builds URLs when it is needed."""

import flask
import pytest
from werkzeug.routing import BuildError, Rule

from app.rule import QuickRule

RULES = ["/", "/models/<name>", "/v1/models/<name>:predict", "/a/<path:rest>", "/n/<int:number>/x y/ü"]
VALUES = [{}, {"name": "pets"}, {"name": "a b/c"}, {"rest": "b/c", "more": "1"}, {"number": 3, "top": ["1", "ä"]}]


def application(kind: type[Rule]) -> flask.Flask:
    app = flask.Flask(__name__, static_folder=None)
    app.url_rule_class = kind
    for number, rule in enumerate(RULES):
        app.add_url_rule(rule, f"rule{number}", lambda **values: "")
    return app


@pytest.mark.parametrize("number", range(len(RULES)))
@pytest.mark.parametrize("values", VALUES)
def test_urls_are_built_as_ever(number: int, values: dict[str, object]) -> None:
    found = []
    for kind in (Rule, QuickRule):
        with application(kind).test_request_context():
            try:
                found.append([flask.url_for(f"rule{number}", **values) for _ in range(2)])
            except BuildError:
                found.append([])
    assert found[0] == found[1]


def test_nothing_is_compiled_before(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    original = Rule._compile_builder

    def counting(self: Rule, append_unknown: bool = True) -> object:
        compiled.append(self.rule)
        return original(self, append_unknown)

    monkeypatch.setattr(Rule, "_compile_builder", counting)
    app = application(QuickRule)
    assert app.test_client().get("/models/x").status_code == 200
    assert not compiled
    with app.test_request_context():
        assert flask.url_for("rule1", name="x") == flask.url_for("rule1", name="x") == "/models/x"
    assert set(compiled) == {"/models/<name>"}
