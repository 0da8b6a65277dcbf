"""What marks a report.json. The version changes with anything that a reader of an older one would misread."""

from typing import Any

FORMAT = "kiln-load"
VERSION = 1


def error_share(point: dict[str, Any]) -> float:
    """Part of a point's requests that were errors, 0 to 1."""
    errors: int = sum(point["errors"].values())
    return errors / (errors + sum(point["histogram"]["counts"]) or 1)
