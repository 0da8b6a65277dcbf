"""The document's paths of Function Compute."""

from __future__ import annotations

from collections.abc import Sequence

from model.store import Model

from ..paths import INITIALIZE, INVOKE, PRE_FREEZE, PRE_STOP
from ..settings import Settings
from .parts import Schema, error, fields, get
from .scoring import scored


def paths(models: Sequence[Model], settings: Settings) -> Schema:
    """Events and hooks."""
    ready = get(
        "fc_initialize",
        "Function Compute: can it answer?",
        fields(status={"const": "ready"}),
        {"503": error("Not ready: the instance has failed")},
    )
    ok = fields(status={"const": "ok"})
    return {
        INVOKE: {"post": scored("fc_invoke", "Function Compute: an event", models, settings)},
        INITIALIZE: {"post": ready},
        PRE_FREEZE: {"get": get("fc_pre_freeze", "Function Compute: before an instance is frozen", ok)},
        PRE_STOP: {"get": get("fc_pre_stop", "Function Compute: before an instance is stopped", ok)},
    }
