"""Requests with the answers that they must get, for a model that is known: data in the file of facts.

A pair is {"id", "asks", "path" (with {model}, {version} and {label}), "method", "headers", "body" (JSON) or "content"
(text), "status", "answer" (JSON) or "error" (a part of its text)}; all but `path` and `status` may be left out.
"""

from __future__ import annotations

import json
from typing import Any

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
        wrong = [f"{pair.get('id') or pair['path']}: {why}" for pair in pairs if (why := _differs(subject, pair))]
        expect(not wrong, f"{len(wrong)} of {len(pairs)} differ: {'; '.join(wrong)}")
        return f"{len(pairs)} pairs"

    return found


def _differs(subject: Subject, pair: dict[str, Any]) -> str:
    """What is wrong; empty where the answer is as told."""
    path = pair["path"]
    for name, value in (
        ("model", subject.model),
        ("version", subject.facts.version),
        ("label", subject.facts.label),
    ):
        if f"{{{name}}}" in path and not value:
            return ""  # the model has none
        path = path.replace(f"{{{name}}}", value)
    content = pair["content"].encode() if "content" in pair else json.dumps(pair["body"]).encode()
    reply = subject.server.send(pair.get("method", "POST"), path, content, pair.get("headers"))
    if reply.status != pair["status"]:
        return reply.summary()
    if "answer" in pair and not agree(subject, parsed(reply), pair["answer"]):
        return reply.summary()
    if "error" in pair and pair["error"] not in message(reply):
        return f"{reply.summary()}, expected {pair['error']!r}"
    return ""
