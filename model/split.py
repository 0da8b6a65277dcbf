"""A canary split: a part of the clients gets another version, and each client always the same one."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Split(Generic[T]):
    """Shares in percent. Workers and restarts agree on who gets what, because nothing but a hash decides."""

    def __init__(self, name: str, shares: Iterable[tuple[T, int]]) -> None:
        self._salt = f"{name}\0".encode()  # the clients of one model's canary are not those of another's
        self._hundred = [share for share, percent in shares for _ in range(percent)]
        if len(self._hundred) != 100:
            raise ValueError(f"shares add up to {len(self._hundred)} percent")

    def choose(self, client: str) -> T:
        """The share of a client. One without a name gets any, by the percentages."""
        if not client:
            return random.choice(self._hundred)  # noqa: S311  no secret
        digest = hashlib.blake2b(self._salt + client.encode(errors="replace"), digest_size=8).digest()
        return self._hundred[int.from_bytes(digest) % 100]
