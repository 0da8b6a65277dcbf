"""What requests that are generated from the OpenAPI document need before they can be sent."""

from __future__ import annotations

from typing import Any


def whole(value: Any) -> Any:
    """A schema takes 1.0 for an integer, TensorFlow Serving does not; and what overflows, it answers as Infinity, which
    is not JSON."""
    if isinstance(value, dict):
        return {key: whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    if isinstance(value, float) and abs(value) > 1e30:
        return 1e30
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
