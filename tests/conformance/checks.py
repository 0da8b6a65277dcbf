"""What a check is, what comes of it, and the few judgements that all dialects share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from .server import NoAnswer, Reply
from .subject import FactsError, Subject


class Verdict(StrEnum):
    HOLDS = "holds"
    DIFFERS = "differs"
    NOT_APPLICABLE = "not applicable"


class Differs(Exception):
    """The server does otherwise. The message is what was seen."""


class NotApplicable(Exception):
    """The check says nothing about this server or model. The message is why."""


# What a server answers is never to be trusted: whatever it breaks in a judgement is a difference.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

# Asks the server and returns what was seen; raises Differs or NotApplicable.
Judge = Callable[[Subject], str]


@dataclass(frozen=True)
class Check:
    """One thing that a specification, or the original server, promises.

    id: unique, e.g. "open_inference.infer.flat".
    asks: what must hold, in words.
    section: where it is promised.
    required: False for what good servers do differently, or what the specification only recommends.
    """

    id: str
    asks: str
    section: str
    judge: Judge
    required: bool = True


@dataclass(frozen=True)
class Result:
    """What came of a check."""

    check: Check
    verdict: Verdict
    seen: str

    @property
    def fails(self) -> bool:
        """Is it a reason for the kit to say no?"""
        return self.check.required and self.verdict is Verdict.DIFFERS


class Checks(list[Check]):
    """Checks of one dialect, in the order in which they are made."""

    def __init__(self, dialect: str) -> None:
        super().__init__()
        self._dialect = dialect

    def add(self, id: str, asks: str, section: str, judge: Judge, *, required: bool = True) -> None:
        """Add a check that is made from data."""
        self.append(Check(f"{self._dialect}.{id}", asks, section, judge, required))

    def check(self, id: str, asks: str, section: str, *, required: bool = True) -> Callable[[Judge], Judge]:
        """Add a check that is a function."""

        def decorate(judge: Judge) -> Judge:
            self.add(id, asks, section, judge, required=required)
            return judge

        return decorate


@dataclass(frozen=True)
class Dialect:
    """One protocol.

    name: as on the command line.
    title: for people.
    offered: does the server speak it at all?
    """

    name: str
    title: str
    offered: Callable[[Subject], bool]
    checks: tuple[Check, ...]

    def __post_init__(self) -> None:
        twice = [id for id, times in Counter(check.id for check in self.checks).items() if times > 1]
        assert not twice, twice

    def judge(self, subject: Subject) -> Iterator[Result]:
        """Every check's result, in order."""
        for check in self.checks:
            try:
                yield Result(check, Verdict.HOLDS, check.judge(subject))
            except (NotApplicable, FactsError) as reason:
                yield Result(check, Verdict.NOT_APPLICABLE, str(reason))
            except (Differs, NoAnswer) as seen:
                yield Result(check, Verdict.DIFFERS, str(seen))
            except UNREADABLE as error:
                yield Result(check, Verdict.DIFFERS, f"an answer of another form: {type(error).__name__}: {error}")


def expect(condition: object, seen: str) -> None:
    """Raise Differs unless the condition is true."""
    if not condition:
        raise Differs(seen)


def succeeded(reply: Reply) -> object:
    """The JSON of a 200. Raises Differs otherwise."""
    expect(reply.status == 200, reply.summary())
    return parsed(reply)


def parsed(reply: Reply) -> object:
    """The answer's JSON. Raises Differs where there is none."""
    try:
        return json.loads(reply.content)
    except (ValueError, RecursionError):
        raise Differs(f"no JSON: {reply.summary()}") from None


def strict(reply: Reply) -> object:
    """The JSON of a 200, as a strict parser reads it. Raises Differs for NaN and Infinity, which are none."""

    def refuse(token: str) -> None:
        raise Differs(f"{token}, which is no JSON: {reply.summary()}")

    succeeded(reply)
    return json.loads(reply.content, parse_constant=refuse)


def answered(reference: Callable[[Subject], object], subject: Subject) -> None:
    """Raises NotApplicable where no good request is answered: then a bad one's refusal proves nothing."""
    try:
        reference(subject)
    except (Differs, NoAnswer, *UNREADABLE) as why:
        raise NotApplicable(f"no good request was answered: {why}") from why


REFUSALS = range(400, 500)


def refused(reply: Reply, statuses: Collection[int] = REFUSALS) -> str:
    """Check that an answer is an error with one of these statuses. Returns the answer."""
    expect(reply.status in statuses, f"{reply.summary()}, expected {_span(statuses)}")
    return reply.summary()


def message(reply: Reply) -> str:
    """The text of an error whose body is {"error": text}, the form that all these protocols have. Raises Differs."""
    body = parsed(reply)
    told = body.get("error") if isinstance(body, dict) else None
    if not isinstance(told, str) or not told:
        raise Differs(f'no {{"error": text}}: {reply.summary()}')
    return told


def _span(statuses: Collection[int]) -> str:
    beyond = sorted(set(statuses) - set(REFUSALS)) if set(statuses) >= set(REFUSALS) else sorted(statuses)
    return " or ".join([*(["a 4xx"] if len(beyond) < len(statuses) else []), *map(str, beyond)])
