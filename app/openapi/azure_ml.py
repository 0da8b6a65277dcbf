"""The document's /score."""

from __future__ import annotations

from collections.abc import Sequence

from model.store import Model

from ..paths import SCORE
from ..settings import Settings
from .parts import Schema
from .scoring import scored


def paths(models: Sequence[Model], settings: Settings) -> Schema:
    """The scoring route."""
    return {SCORE: {"post": scored("azure_ml_score", "Azure ML: score instances", models, settings, "429")}}
