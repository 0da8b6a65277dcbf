"""A conformance kit for the protocols of model serving. It knows servers by their URL alone; README.md says more."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from . import open_inference
from .report import Judgement
from .subject import Subject

DIALECTS = (open_inference.DIALECT,)


def judge(subject: Subject, only: Collection[str] | None = None) -> Iterator[Judgement]:
    """Judge a server, dialect by dialect.

    only: names of dialects; all where it is None. Raises NoAnswer where the server is not there.
    """
    for dialect in DIALECTS:
        if only is not None and dialect.name not in only:
            continue
        # What one dialect finds out is not what the next one may tell.
        own = replace(subject, memory={}, facts=replace(subject.facts))
        if not dialect.offered(own):
            yield Judgement(dialect, offered=False, asked=only is not None)
            continue
        yield Judgement(dialect, offered=True, asked=only is not None, results=tuple(dialect.judge(own)))
