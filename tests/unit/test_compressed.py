"""Compressed bodies: unpacked, within their limit, or refused."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RequestError
from app.payloads.compressed import decompress

pytestmark = pytest.mark.unit


@given(st.binary(max_size=5000))
def test_what_is_packed_is_unpacked(data: bytes) -> None:
    assert decompress(gzip.compress(data), "gzip", 5000) == data
    assert decompress(zlib.compress(data), " Deflate ", 5000) == data
    assert decompress(data, "", 0) == decompress(data, "identity", 0) == data


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"text", "gzip", 400),
        (b"", "gzip", 400),
        (gzip.compress(b"text", mtime=0)[:-1], "gzip", 400),
        (gzip.compress(b"text", mtime=0) + b"more", "gzip", 400),
        (zlib.compress(b"text"), "gzip", 400),
        (b"text", "br", 415),
        (gzip.compress(b"text", mtime=0), "gzip, gzip", 415),
        (gzip.compress(b"x" * 101, mtime=0), "gzip", 413),
    ],
)
def test_what_cannot_be_is_refused(body: bytes, encoding: str, status: int) -> None:
    with pytest.raises(RequestError) as refused:
        decompress(body, encoding, 100)
    assert refused.value.status == status


def test_a_bomb_takes_no_memory() -> None:
    bomb = gzip.compress(bytes(100_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(RequestError):
            decompress(bomb, "gzip", 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
