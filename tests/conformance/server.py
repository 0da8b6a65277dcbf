"""Talking to the server that is judged."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass

import requests

SHOWN = 120  # characters of an answer that a report shows


def members(content: bytes) -> bytes:
    """In gzip, of three members: two halves, and one of nothing, as some compressors write at the end."""
    half = len(content) // 2
    return b"".join(map(gzip.compress, (content[:half], content[half:], b"")))


class NoAnswer(Exception):
    """The server gave no answer at all."""


@dataclass(frozen=True)
class Reply:
    """An answer. headers: by name in any case. content: after Content-Encoding is undone."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def kind(self) -> str:
        """The media type as it came, parameters and all."""
        return self.headers.get("Content-Type", "")

    def summary(self) -> str:
        """Status and beginning of the body, on one line."""
        text = " ".join(self.content[: 4 * SHOWN].decode("utf-8", "replace").split())
        text = "".join(c if c.isprintable() else "." for c in text)
        return f"{self.status} {text[:SHOWN]}{'...' if len(text) > SHOWN else ''}".rstrip()


class Server:
    """A server by its base URL.

    Every request has the given headers, asks for no compression by itself, and has a connection of its own: a server
    may close one after an error, and that must not look like the failure of what is asked next.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, timeout: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self.headers = dict(headers or {})
        self._headers = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close", **self.headers}
        self._timeout = timeout

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One request. Raises NoAnswer where the connection fails, closes or stays silent."""
        with requests.Session() as session:
            session.trust_env = False  # no proxy and no .netrc between the kit and the server
            session.headers.clear()
            try:
                answer = session.request(
                    method,
                    self.url + path,
                    data=body,
                    headers={**self._headers, **(headers or {})},
                    timeout=self._timeout,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                raise NoAnswer(f"no answer to {method} {path}: {type(error).__name__}") from error
        return Reply(answer.status_code, answer.headers, answer.content)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """GET."""
        return self.send("GET", path, headers=headers)

    def post(self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """POST of bytes, with no Content-Type but one that is given."""
        return self.send("POST", path, body, headers)
