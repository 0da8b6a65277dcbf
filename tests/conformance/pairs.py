"""Requests with the answers that they must get, for a model that is known: data in the file of facts.

A pair is {"id", "path", "method", "headers", "body" (JSON) or "content" (text), "status", "answer" (JSON) or "error"
(a part of its text)}; all but `path` and `status` may be left out. Path and headers may name {model}, {version} and
{label}.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from .checks import Check, Checks, NotApplicable, expect, message, parsed
from .rows import agree
from .subject import Subject


def checks(dialect: str, section: str) -> list[Check]:
    """One check for all pairs of a dialect."""
    found = Checks(dialect)

    @found.check("pairs", "the pairs of request and answer in the file of facts", section)
    def _(subject: Subject) -> str:
        pairs = subject.facts.pairs.get(dialect)
        if not pairs:
            raise NotApplicable("no pairs are known: name them by --facts")
        names = _names(subject)
        asked = [pair for pair in pairs if _named(pair) <= names.keys()]
        if not asked:
            raise NotApplicable("every pair needs a version or a label, and none is known: name them by --facts")
        wrong = [f"{pair.get('id') or pair['path']}: {why}" for pair in asked if (why := _differs(subject, pair))]
        expect(not wrong, f"{len(wrong)} of {len(asked)} differ: {'; '.join(wrong)}")
        left = len(pairs) - len(asked)
        return f"{len(asked)} pairs" + (f"; {left} need a version or a label, and none is known" if left else "")

    return found


def _names(subject: Subject) -> dict[str, str]:
    """What a pair may name, where it is known."""
    found = {"model": subject.model, "version": subject.facts.version, "label": subject.facts.label}
    return {name: value for name, value in found.items() if value}


def _named(pair: dict[str, Any]) -> set[str]:
    """What a pair names."""
    return set(re.findall(r"\{(model|version|label)\}", " ".join((pair["path"], *pair.get("headers", {}).values()))))


def _differs(subject: Subject, pair: dict[str, Any]) -> str:
    """What is wrong; empty where the answer is as told."""
    path, headers = pair["path"], dict(pair.get("headers", {}))
    for name, value in _names(subject).items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
        headers = {header: text.replace(f"{{{name}}}", value) for header, text in headers.items()}
    content = json.dumps(pair["body"]).encode() if "body" in pair else pair.get("content", "").encode()
    reply = subject.server.send(pair.get("method", "POST"), path, content, headers)
    if reply.status != pair["status"]:
        return reply.summary()
    if "answer" in pair and not agree(subject, parsed(reply), pair["answer"]):
        return reply.summary()
    if "error" in pair and pair["error"] not in message(reply):
        return f"{reply.summary()}, expected {pair['error']!r}"
    return ""
