"""Clients that post a photo again and again while something breaks, and what became of every request."""

from __future__ import annotations

import collections
import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.servers import wait_for

SECONDS = 30  # until a client gives a request up


@dataclass
class Traffic:
    """outcomes: a status, or the name of what went wrong; "refused" where there was nobody to connect to."""

    outcomes: list[int | str] = field(default_factory=list)
    longest: float = 0.0  # seconds to an answer
    stop: threading.Event = field(default_factory=threading.Event)

    def counts(self) -> dict[int | str, int]:
        return dict(collections.Counter(self.outcomes))

    def failed(self) -> int:
        """Requests that were taken and not answered with 200."""
        return sum(outcome not in (200, "refused") for outcome in self.outcomes)

    def more(self, count: int) -> None:
        """Wait for so many further answers of 200."""
        before = self.outcomes.count(200)
        wait_for(lambda: self.outcomes.count(200) >= before + count, f"{count} more answers", 60)

    def __str__(self) -> str:
        return f"{len(self.outcomes)} requests: {self.counts()}, the longest {self.longest:.2f} s"


@contextlib.contextmanager
def traffic(
    port: int, photo: bytes, *, clients: int = 4, keep: bool = True, until: Callable[[], bool] | None = None
) -> Iterator[Traffic]:
    """Load of so many clients for as long as the block runs. keep: connections stay open between requests.

    until: asked before each request; clients end once it is true, as when a load balancer has taken the node out.
    """
    result = Traffic()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        while not result.stop.is_set() and not (until and until()):
            began = time.monotonic()
            result.outcomes.append(post(connection, photo))
            result.longest = max(result.longest, time.monotonic() - began)
            if not keep or result.outcomes[-1] != 200:
                connection.close()
            if result.outcomes[-1] == "refused":
                time.sleep(0.01)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        result.more(clients)
        yield result
    finally:
        result.stop.set()
        for thread in threads:
            thread.join()


def post(connection: http.client.HTTPConnection, photo: bytes) -> int | str:
    try:
        if connection.sock is None:
            connection.connect()
    except OSError:
        return "refused"
    try:
        connection.request("POST", "/predict", photo, {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as lost:
        connection.close()
        return type(lost).__name__
    return answer.status
