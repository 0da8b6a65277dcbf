"""The document's /v2."""

from __future__ import annotations

from collections.abc import Sequence

from model.store import Model

from ..settings import Settings
from .parts import Schema


def paths(models: Sequence[Model], settings: Settings) -> dict[str, Schema]:
    """Every path of the protocol."""
    return {}
