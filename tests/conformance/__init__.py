"""A conformance kit for the protocols of model serving. It knows servers by their URL alone; README.md says more."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from . import kserve_v1, open_inference, sagemaker, tf_serving
from .report import Judgement
from .subject import Subject

DIALECTS = (tf_serving.DIALECT, kserve_v1.DIALECT, open_inference.DIALECT, sagemaker.DIALECT)


def judge(subject: Subject, only: Collection[str] | None = None) -> Iterator[Judgement]:
    """Judge a server, dialect by dialect.

    only: names of dialects; all where it is None. Raises NoAnswer where the server is not there.
    """
    for dialect in DIALECTS:
        asked = only is not None and dialect.name in only
        if only is not None and not asked:
            continue
        # What one dialect finds out is not what the next one may tell.
        own = replace(subject, memory={}, facts=replace(subject.facts))
        offered = dialect.offered(own)
        yield Judgement(dialect, offered, asked, tuple(dialect.judge(own)) if offered else ())
