"""What counts as a plain request, and that nothing else does."""

from __future__ import annotations

import io

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.parser import RequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from deploy import plain

pytestmark = pytest.mark.unit

BODY = b"\xff\xd8\xffpicture"
HEADERS = (b"Host: kiln.test", b"Content-Type: image/jpeg", b"Content-Length: %d" % len(BODY))


def request(*more: bytes, line: bytes = b"POST /predict HTTP/1.1", headers: tuple[bytes, ...] = HEADERS) -> bytes:
    return b"\r\n".join((line, *headers, *more, b"", BODY))


def test_a_plain_request_is_read() -> None:
    fields = {"content-type": "image/jpeg", "content-length": "10"}
    whole = len(request())
    assert plain.read(request()) == ("/predict", "", fields, whole - len(BODY), whole, True)
    assert plain.read(request()[:-3]) == ("/predict", "", fields, whole - len(BODY), whole, True)
    more = (b"x-request-id: \t a-1 ", b"Accept: */*", b"X-Empty:", b"Connection: Keep-Alive", b"User-Agent: \xe4 (x)")
    found = plain.read(request(*more))
    assert found is not None
    assert found.fields == fields | {"x-request-id": "a-1"}
    assert found.keep
    assert request(*more)[found.begins :] == BODY
    found = plain.read(request(b"X-Request-ID:a \t b\t", b"X-API-Key: \t "))
    assert found is not None
    assert (found.fields["x-request-id"], found.fields["x-api-key"]) == ("a \t b", "")


def test_one_that_is_refused_is_not_read_further() -> None:
    data = request(b"X-Request-Id: a-1 ", b"X-API-Key: one", b"x-FC-request-id:\tb")
    framed, read = plain.framed(data), plain.read(data)
    assert framed is not None
    assert read is not None
    assert framed == read._replace(fields={})
    assert plain.ids(data, framed) == {"x-request-id": "a-1", "x-fc-request-id": "b"}
    body_alone = request()[: -len(BODY)] + b"\nX-Request-ID: c\r\n"[: len(BODY)]
    assert (found := plain.framed(body_alone)) is not None
    assert plain.ids(body_alone, found) == {}


def test_a_query_and_a_key_are_read() -> None:
    found = plain.read(
        request(b"authorization: Bearer a b", b"X-Api-Key:c", line=b"POST /predict?model=a_b-1&top= HTTP/1.1")
    )
    assert found is not None
    assert (found.path, found.query) == ("/predict", "model=a_b-1&top=")
    assert found.fields["authorization"] == "Bearer a b"
    assert found.fields["x-api-key"] == "c"
    found = plain.read(request(line=b"POST /predict? HTTP/1.1"))
    assert found is not None
    assert (found.path, found.query) == ("/predict", "")


def test_one_that_waits_for_a_word_is_plain_once_that_is_said() -> None:
    for name in (b"Expect", b"eXPECT"):
        for asking in (request(name + b": \t100-Continue "), request(headers=(name + b":100-continue", *HEADERS))):
            found = plain.read(asking)
            assert found is not None
            assert found.fields["expect"].lower() == "100-continue"
            assert asking[found.begins :] == BODY
            assert plain.expectation_met(asking) == request()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request()[: -len(BODY) - 1],
        request() + b"P",
        request(line=b"POST /predict HTTP/1.0"),
        request(line=b"POST /predict?top=%31 HTTP/1.1"),
        request(line=b"POST /predict?model=a+b HTTP/1.1"),
        request(line=b"POST /predict?a?b HTTP/1.1"),
        request(line=b"POST /predict#a HTTP/1.1"),
        request(line=b"POST /pre%64ict HTTP/1.1"),
        request(b"X-API-Key: one", b"X-API-Key: two"),
        request(b"Authorization: Bearer one", b"authorization: Bearer two"),
        request(line=b"POST http://kiln.test/predict HTTP/1.1"),
        request(line=b"PUT /predict HTTP/1.1"),
        request(line=b"POST  /predict HTTP/1.1"),
        request(headers=HEADERS[1:]),
        request(headers=HEADERS[:2]),
        request(HEADERS[2]),
        request(HEADERS[0]),
        request(b"content-length: 11"),
        request(headers=(*HEADERS[:2], b"Content-Length: +10")),
        request(headers=(*HEADERS[:2], b"Content-Length: 1_0")),
        request(headers=(*HEADERS[:2], "Content-Length: ١٠".encode())),
        request(b"Transfer-Encoding: chunked"),
        request(b"Expect: a miracle"),
        request(b"Expect: 100-continue, a miracle"),
        request(b"Expect: 100-continue", b"Expect: 100-continue"),
        request(b"Expect: 100-continue", b"Upgrade: h2c"),
        request(b"Expect: 100-continue", line=b"POST /predict HTTP/1.0"),
        request(b"Connection: Upgrade, close"),
        request(b"Upgrade: h2c"),
        request(b"Content-Encoding: gzip"),
        request(b" folded: line"),
        request(b"Blank : before the colon"),
        request(b"No colon"),
        request(b"X: a\nContent-Length: 3"),
        request(b"X: a\rTransfer-Encoding: chunked"),
        request(b"X: \x00"),
        request(b"X: " + b"a" * plain.MAX_HEAD),
        request(*[b"X: a"] * 80),
        request().replace(b"\r\n", b"\n"),
    ],
)
def test_anything_else_is_left_alone(data: bytes) -> None:
    assert plain.read(data) is None


NAMES = st.sampled_from(
    [b"Content-Length", b"Transfer-Encoding", b"Content-Type", b"Host", b"X-A", b"Expect", b"Connection", b"x\tb"]
)
VALUES = st.sampled_from(
    [b"10", b"11", b"100-Continue", b"chunked", b"close", b"image/png", b"a\r\n b", b"\x0b11", b"a,b", b""]
)


@given(st.lists(st.tuples(NAMES, st.sampled_from([b":", b": ", b" :", b""]), VALUES), max_size=4))
@example([(b"Transfer-Encoding", b":", b"chunked")])
@example([(b"Content-Length", b": ", b"\x0b11")])
def test_what_it_reads_gunicorn_reads_alike(headers: list[tuple[bytes, bytes, bytes]]) -> None:
    data = request(*(b"".join(header) for header in headers))
    found = plain.read(data)
    if found is None:
        return
    parsed = next(RequestParser(Config(), io.BytesIO(data), ("127.0.0.1", 1)))
    assert (parsed.method, parsed.uri, parsed.version) == ("POST", "/predict", (1, 1))
    assert parsed.body.read() == data[found.begins :]
    fields = dict(parsed.headers)
    assert fields.get("CONTENT-TYPE") == found.fields.get("content-type")
    assert parsed.should_close() is not found.keep


HOPEFUL = [
    b"GET / HTTP/1.1\r\nHost: x\r\nA",
    b"\r\nOPTIONS * HTTP/1.0\r\n",
    b"get /",
    b"\r\n\r",  # how a proxy's greeting begins
]
HOPELESS = [
    b"HELO x\r\n",
    b"GET /\r\n",
    b"GET / HTTP/1.1\nHost: x\n",
    b"GET / HTTP/1.1\r\nHost: x\nA",
    b"GET / HTTP/9.9\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"\r\n\r\n",
    b"\r\n\x00",
    b"\xff",
    b" GET",
    b"\n",
    b"{}",
]


@pytest.mark.parametrize("start", HOPEFUL + HOPELESS)
def test_what_is_beyond_hope_gunicorn_refuses_at_once_and_nothing_else(start: bytes) -> None:
    for length in range(len(start) + 1):
        hopeless = plain.beyond_hope(start[:length])
        assert hopeless.startswith(start[:length]) or not hopeless
        pieces = [hopeless or start[:length]]
        parser = RequestParser(Config(), iter(pieces), ("127.0.0.1", 1))
        if hopeless:
            with pytest.raises(ParseException):  # not NoMoreData: it would wait
                next(parser)
    assert bool(plain.beyond_hope(start)) is (start in HOPELESS)


@given(st.text("GET /HP1.\r\n:x\x00\x16 ", max_size=24), st.integers(0, 24))
@example("GET / HTTP/1.1\r\nx:1\r\n\r\n", 14)
@example("\r\nGET / HTTP/1.1\r\nx:1\r\n\r\n", 3)
def test_whatever_gunicorn_takes_was_never_beyond_hope(text: str, cut: int) -> None:
    for whole in (text, "GET / HTTP/1.1\r\n" + text + "\r\n\r\n"):
        try:
            next(RequestParser(Config(), iter([whole.encode()]), ("127.0.0.1", 1)))
        except (ParseException, NoMoreData, StopIteration):
            continue
        head = whole.encode().partition(b"\r\n\r\n")[0]
        assert not plain.beyond_hope(head[:cut])
        assert not plain.beyond_hope(head)
