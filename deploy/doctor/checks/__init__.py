"""The checks, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable

from ..chain import Chain
from ..findings import Findings
from . import (
    bodies,
    capacity,
    code,
    exposure,
    files,
    keys,
    memory,
    proxies,
    ready,
    retries,
    sockets,
    store,
    timeouts,
    traces,
    units,
)

ALL: tuple[Callable[[Chain], Findings], ...] = (
    units.check,  # before the others knock: whoever connects to kiln.socket starts the service
    sockets.check,
    ready.check,
    exposure.check,
    proxies.check,
    timeouts.check,
    retries.check,
    bodies.check,
    code.check,
    store.check,
    keys.check,
    capacity.check,
    memory.check,
    files.check,
    traces.check,
)
