"""Whether a request may pass: it has a key that is in the file now, and has not used it too often."""

from __future__ import annotations

import hmac
import math
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from flask import Flask, Request, request

from ..errors import RequestError
from ..telemetry.logs import logger
from ..telemetry.request_id import Lookup
from . import file
from .file import Key, KeysError
from .rates import Bucket, Moment

# For whoever watches over the node. That /metrics is not for everybody is nginx's matter.
OPEN = frozenset({"/live", "/ready", "/metrics"})
_HEADERS = "Authorization: Bearer KEY or X-API-Key: KEY"


class Guard:
    """The keys of one worker. It looks at the file with each request, and reads it when it has changed.

    folder: where all workers count together what a key uses of its rate; None: this one counts alone.
    Raises KeysError or OSError where the file cannot be used at start; later on, the keys stay as they were.
    """

    def __init__(self, path: Path, folder: Path | None = None) -> None:
        self._path = path
        self._folder = folder
        self._lock = threading.Lock()
        self._buckets: dict[str, Bucket] = {}
        self._seen = self._look()
        self._keys = file.read(path)

    def check(self, asked: Request) -> None:
        """Raises RequestError: 401 without a key that is known, 429 with one that was used too often."""
        key = self._find(asked.headers.get)
        if key is None:
            message = f"This needs an API key: send {_HEADERS}. Whoever runs this service gives them out."
            raise RequestError(401, "unauthorized", message, {"WWW-Authenticate": 'Bearer realm="kiln"'})
        if key.rate and (seconds := self._bucket(key).take()):
            message = f"This key may make {key.rate:g} requests a second. Wait, then try again."
            raise RequestError(429, "too_many_requests", message, {"Retry-After": str(math.ceil(seconds))})

    def passes(self, fields: Mapping[str, str]) -> Callable[[], None] | None:
        """None where `check` is to refuse a request with such a head, by names in lower case. Else it counts, and what
        comes back undoes that, for a request that is given to `check` after all."""
        key = self._find(fields.get)
        if key is None or not key.rate:
            return key and _nothing
        bucket = self._bucket(key)
        return None if bucket.take() else bucket.give_back

    def _find(self, field: Lookup) -> Key | None:
        """A key that is offered and known. field: gives one of the request's head by its name in lower case.

        Every key is compared, and in constant time, so that the time says nothing.
        """
        with self._lock:
            self._follow()
            keys = self._keys
        found = None
        for digest in map(file.digest, _offered(field)):
            for key in keys:
                if hmac.compare_digest(key.digest, digest):
                    found = key
        return found

    def _bucket(self, key: Key) -> Bucket:
        with self._lock:
            bucket = self._buckets.get(key.name)
            if bucket is None:
                bucket = self._buckets[key.name] = Bucket(key.rate, Moment(self._folder, key.name))
            bucket.rate = key.rate
        return bucket

    def _follow(self) -> None:
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keys = file.read(self._path)
        except (KeysError, OSError) as wrong:
            logger.error("API keys stay as they were: %s", wrong)
            return
        names = {key.name for key in self._keys}
        for name in self._buckets.keys() - names:
            del self._buckets[name]
        logger.info("API keys: %s", ", ".join(sorted(names)) or "none")

    def install(self, app: Flask, probes: Collection[str]) -> None:
        """Ask before anything else looks at a request, whatever its path, so that nobody learns which exist.

        probes: the paths of platforms' health checks, which are open, too.
        """

        @app.before_request
        def check() -> None:
            if request.path not in OPEN and request.path not in probes:
                self.check(request)

    def _look(self) -> tuple[int, ...]:
        """What differs after any change; nothing where there is no file."""
        try:
            seen = self._path.stat()
        except OSError:
            return ()
        return seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino


def _nothing() -> None:
    """There is nothing to undo."""


def _offered(field: Lookup) -> list[str]:
    """A token in Authorization may be meant for a proxy in front; then the key is in the other header."""
    scheme, _, token = (field("authorization") or "").partition(" ")
    offered = [field("x-api-key"), token.strip() if scheme.lower() == "bearer" else ""]
    return [key for key in offered if key]
