"""What a check says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """GOOD: as it should be. WARNING: it works, and could be better. PROBLEM: requests will fail, now or under load."""

    GOOD = "good"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. check: which part of the chain. remedy: what to change; empty where all is good."""

    check: str
    level: Level
    message: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """As --json prints it."""
        return asdict(self)


Findings = Iterator[Finding]
