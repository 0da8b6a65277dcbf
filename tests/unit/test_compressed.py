"""Compressed bodies: unpacked, within their limit, or refused."""

from __future__ import annotations

import gzip
import random
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


@given(st.lists(st.binary(max_size=500) | st.integers(0, 40_000).map(bytes), min_size=1, max_size=5))
def test_members_of_gzip_are_one_body(data: list[bytes]) -> None:
    packed = b"".join(map(gzip.compress, data))
    assert decompress(packed, "gzip", sum(map(len, data))) == b"".join(data)
    with pytest.raises(RequestError, match="end where it should"):
        decompress(packed[:-1], "gzip", sum(map(len, data)))


def test_a_member_may_end_anywhere_in_what_is_read_at_once() -> None:
    noise = random.Random(0).randbytes(40_000)
    packed = gzip.compress(noise[:30_000]) + gzip.compress(b"") * 3000 + gzip.compress(noise[30_000:])
    assert decompress(packed, "gzip", 40_000) == noise
    with pytest.raises(RequestError) as refused:
        decompress(packed, "gzip", 39_999)
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"text", "gzip", 400),
        (b"", "gzip", 400),
        (gzip.compress(b"text", mtime=0)[:-1], "gzip", 400),
        (gzip.compress(b"text", mtime=0) + b"more", "gzip", 400),
        (gzip.compress(b"text", mtime=0) * 2 + gzip.compress(b"text", mtime=0)[:12], "gzip", 400),
        (zlib.compress(b"text") * 2, "deflate", 400),
        (zlib.compress(b"text") + gzip.compress(b"text", mtime=0), "deflate", 400),
        (zlib.compress(b"text"), "gzip", 400),
        (b"text", "br", 415),
        (gzip.compress(b"text", mtime=0), "gzip, gzip", 415),
        (gzip.compress(b"x" * 101, mtime=0), "gzip", 413),
        (gzip.compress(b"x" * 51, mtime=0) * 2, "gzip", 413),
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
