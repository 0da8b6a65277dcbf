"""What came out: a table for people, JSON for programs."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .checks import Dialect, Result, Verdict

SIGNS = {Verdict.HOLDS: "holds", Verdict.DIFFERS: "DIFFERS", Verdict.NOT_APPLICABLE: "n/a"}


@dataclass(frozen=True)
class Judgement:
    """Of one dialect. results: none where the server does not offer it. asked: was it asked for by name?"""

    dialect: Dialect
    offered: bool
    asked: bool
    results: tuple[Result, ...] = ()

    @property
    def fails(self) -> bool:
        """Does a required check not hold, or does the server lack what was asked for?"""
        return any(result.fails for result in self.results) or (self.asked and not self.offered)


def fails(judgements: Iterable[Judgement]) -> bool:
    """Is the server's conformance not given? A server that offers no dialect at all has none, either."""
    judgements = tuple(judgements)
    return any(judgement.fails for judgement in judgements) or not any(judgement.offered for judgement in judgements)


def table(judgements: Iterable[Judgement], *, width: int = 0, all_rows: bool = True) -> str:
    """Each dialect's checks, what was seen of them, and how many hold.

    width: characters in a line; 0 takes the terminal's. all_rows: also those that hold.
    """
    width = width or max(100, shutil.get_terminal_size((160, 24)).columns)
    lines = []
    for judgement in judgements:
        lines += [_heading(judgement), ""]
        if shown := [r for r in judgement.results if all_rows or r.verdict is Verdict.DIFFERS]:
            lines += [*_rows(shown, width), ""]
    return "\n".join(lines).rstrip()


def _heading(judgement: Judgement) -> str:
    name = f"{judgement.dialect.title} ({judgement.dialect.name})"
    if not judgement.offered:
        return f"{name}: not offered"
    verdicts = Counter(result.verdict for result in judgement.results)
    required = sum(result.fails for result in judgement.results)
    return (
        f"{name}: {verdicts[Verdict.HOLDS]} hold, {verdicts[Verdict.DIFFERS]} differ ({required} of them required), "
        f"{verdicts[Verdict.NOT_APPLICABLE]} not applicable"
    )


def _rows(results: Sequence[Result], width: int) -> Iterable[str]:
    names = [result.check.id.partition(".")[2] for result in results]  # the heading says of which dialect
    ids = max(map(len, names))
    rest = max(40, width - ids - 26)
    for name, result in zip(names, results, strict=True):
        kind = "required" if result.check.required else "recommended"
        first, *more = textwrap.wrap(f"{result.check.asks} [{result.check.section}]", rest)
        yield f"  {SIGNS[result.verdict]:<8} {kind:<11} {name:<{ids}}  {first}"
        if result.verdict is not Verdict.HOLDS:
            more += textwrap.wrap(f"-> {result.seen}", rest)
        yield from (f"{'':{ids + 24}}{line}" for line in more)


def to_json(url: str, model: str, judgements: Iterable[Judgement]) -> dict[str, Any]:
    """Everything."""
    judgements = tuple(judgements)
    return {
        "url": url,
        "model": model,
        "conforms": not fails(judgements),
        "dialects": {
            judgement.dialect.name: {
                "offered": judgement.offered,
                "checks": [
                    {
                        "id": result.check.id,
                        "asks": result.check.asks,
                        "section": result.check.section,
                        "required": result.check.required,
                        "verdict": str(result.verdict),
                        "seen": result.seen,
                    }
                    for result in judgement.results
                ],
            }
            for judgement in judgements
        },
    }
