"""When the requests of one user in open loop are due: at random moments, by a Poisson process."""

from __future__ import annotations

import math
import random
from collections.abc import Callable


class Arrivals:
    """Moments on the clock of the caller, in seconds. A delay of the caller moves none of them."""

    def __init__(self, draw: Callable[[float], float] = random.expovariate) -> None:
        """draw: seconds until the next moment at that many a second."""
        self.due = math.inf
        self.sent = 0
        self._missed = 0.0
        self._rate = 0.0
        self._draw = draw

    def take(self, now: float, rate: float) -> bool:
        """Whether a request is due, which the caller then sends. rate: a second; with a new one it begins anew."""
        if rate != self._rate:
            self.rest(now)
            self._rate = rate
            self.due = now + self._draw(rate)
        if now < self.due:
            return False
        self.due += self._draw(rate)
        self.sent += 1
        return True

    def missed(self, now: float) -> float:
        """How many requests were due by now, in the mean, and not sent."""
        return self._missed + max(0.0, now - self.due) * self._rate

    def rest(self, now: float) -> None:
        """Nothing is due until a rate is given again."""
        self._missed = self.missed(now)
        self._rate, self.due = 0.0, math.inf
