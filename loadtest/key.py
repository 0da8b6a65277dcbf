"""The API key that load tests send. It comes by the environment alone: a command line is for everyone to see."""

from __future__ import annotations

import os

from .processes import Failed

VARIABLE = "KILN_LOAD_KEY"


def headers() -> dict[str, str]:
    """The header with the key, or none. Raises Failed, without the key, where it cannot be in a header."""
    key = os.environ.get(VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise Failed(f"{VARIABLE} is no key: it has characters that a header cannot have.")
    return {"X-API-Key": key} if key else {}
