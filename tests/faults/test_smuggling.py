"""Requests whose end can be read in two ways. Nobody may get a second request past whoever looked at the first.

Each shape carries `GET /smuggled` where a lenient reader would find a request of its own. Without nginx it must never
be answered; behind nginx never, unless nginx has seen it as a request, too.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests import servers
from tests.servers import Answer, Server, assert_error, connect, post_head, read_answer

pytestmark = pytest.mark.server

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: kiln.test\r\n\r\n"
SILENCE = 1.0  # seconds after which a server waits for more
CHUNKED = "Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"


def head(*fields: str) -> bytes:
    return post_head("/predict", "Content-Type: image/jpeg", *fields)


def both(encoding: str, *more: str) -> bytes:
    """Length and encoding at once: by its length all is one body, by its encoding the body is empty."""
    return head(encoding, f"Content-Length: {len(LAST + SMUGGLED)}", *more) + LAST + SMUGGLED


def of_length(*lengths: str) -> bytes:
    """A right length would make SMUGGLED the body."""
    return head(*(f"Content-Length: {length}" for length in lengths)) + SMUGGLED


def chunks(data: bytes) -> bytes:
    return head(CHUNKED) + data


def get(lines: bytes) -> bytes:
    return b"GET /live HTTP/1.1\r\nHost: kiln.test\r\n" + lines + b"\r\n\r\n"


SIZE = len(SMUGGLED)
SHAPES = {
    # Content-Length against Transfer-Encoding
    "CL.TE": both(CHUNKED),
    "TE.CL": head(CHUNKED, "Content-Length: 4") + b"%x\r\n%s\r\n" % (SIZE, SMUGGLED) + LAST,
    "CL.TE in HTTP/1.0": both(CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    # Transfer-Encoding that one side may overlook
    "TE twice": both(CHUNKED, CHUNKED),
    "TE chunked, chunked": both("Transfer-Encoding: chunked, chunked"),
    "TE identity, chunked": both("Transfer-Encoding: identity, chunked"),
    "TE chunked, identity": both("Transfer-Encoding: chunked, identity"),
    "TE xchunked": both("Transfer-Encoding: xchunked"),
    "TE with a parameter": both("Transfer-Encoding: chunked;q=1"),
    "TE in quotes": both('Transfer-Encoding: "chunked"'),
    "TE and a blank before the colon": both("Transfer-Encoding : chunked"),
    "TE and a tab": both("Transfer-Encoding:\tchunked"),
    "TE and a vertical tab": both("Transfer-Encoding:\x0bchunked"),
    "TE and a NUL": both("Transfer-Encoding: chunked\x00"),
    "TE with an underscore": both("Transfer_Encoding: chunked"),
    "TE on a folded line": both("Transfer-Encoding:\r\n chunked"),
    "TE behind a bare CR": both("X: y\rTransfer-Encoding: chunked"),
    "TE behind a bare LF": both("X: y\nTransfer-Encoding: chunked"),
    "TE behind a blank": both(" Transfer-Encoding: chunked"),
    # Content-Length that one side may read otherwise
    "CL twice, different": of_length("0", str(SIZE)),
    "CL twice, different, the other way round": of_length(str(SIZE), "0"),
    "CL as a list": of_length(f"0, {SIZE}"),
    "CL with a sign": of_length(f"+{SIZE}"),
    "CL with a minus": of_length("-1"),
    "CL in hexadecimal": of_length(f"0x{SIZE:x}"),
    "CL with an underscore": of_length(f"{SIZE // 10}_{SIZE % 10}"),
    "CL with a blank inside": of_length("0 1"),
    "CL with a point": of_length(f"{SIZE}.0"),
    "CL with a NUL": of_length(f"{SIZE}\x00"),
    "CL in other digits": of_length("¹²"),
    "CL empty": of_length(""),
    "CL too large for 64 bits": of_length(str(2**64 + SIZE)),
    "CL on a folded line": head(f"Content-Length:\r\n {SIZE}") + SMUGGLED,
    "CL and a blank before the colon": head(f"Content-Length : {SIZE}") + SMUGGLED,
    # Chunks
    "chunk size with 0x": chunks(b"0x%x\r\n%s\r\n" % (SIZE, SMUGGLED) + LAST),
    "chunk size with a sign": chunks(b"+%x\r\n%s\r\n" % (SIZE, SMUGGLED) + LAST),
    "chunk size with a minus": chunks(b"-1\r\n" + SMUGGLED),
    "chunk size with an underscore": chunks(b"%x_0\r\n%s\r\n" % (SIZE, SMUGGLED) + LAST),
    "chunk size with a blank before it": chunks(b" %x\r\n%s\r\n" % (SIZE, SMUGGLED) + LAST),
    "chunk size too large for 64 bits": chunks(b"1%016x\r\n%s\r\n" % (0, SMUGGLED) + LAST),
    "chunk size empty": chunks(b"\r\n" + SMUGGLED),
    "chunk longer than it says": chunks(b"1\r\nab" + LAST + SMUGGLED),
    "chunk that ends in a bare LF": chunks(b"1\na\n0\n\n" + SMUGGLED),
    "chunk extension with a bare LF": chunks(b"1;a\nb\r\na\r\n0;\n\r\n" + SMUGGLED)[:-2],
    "chunk extension with a bare CR": chunks(b"1;a\rb\r\na\r\n" + SMUGGLED),
    "chunk extension without an end": chunks(b"1;" + b"a" * 100_000),
    # Lines and names
    "bare LFs": b"GET /live HTTP/1.1\nHost: kiln.test\n\n" + SMUGGLED[:-2],
    "bare CRs": get(b"X: a\r\rGET /smuggled HTTP/1.1\rHost: kiln.test\r\r"),
    "folded line": get(b"X: a\r\n b"),
    "NUL in a value": get(b"X: a\x00b"),
    "NUL in a name": get(b"X\x00Y: a"),
    "name with a blank": get(b"X Y: a"),
    "name that is empty": get(b": a"),
    "no colon": get(b"GET /smuggled HTTP/1.1"),
    "Host twice": get(b"Host: other.test"),
    "two blanks in the first line": b"GET  /live  HTTP/1.1\r\nHost: x\r\n\r\n",
    "a blank before the first line": b" GET /live HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab in the first line": b"GET\t/live\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in the first line": b"GET /live\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "version 1.1 in other words": b"GET /live HTTP/1.10\r\nHost: x\r\n\r\n",
    "version 0.9": b"GET /live\r\n" + SMUGGLED,
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
}
# Harmless where they are read as RFC 9112 says, and which a client may send.
HARMLESS = {"TE and a tab", "folded line", "Host twice", "bare LFs", "TE with an underscore"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """nginx and gunicorn, and nginx's log."""
    folder = tmp_path_factory.mktemp("smuggling")
    with servers.behind_nginx(folder) as server:
        yield server, folder / "access.log"


def answers_of(base: Server, raw: bytes, *, half_close: bool = False) -> list[Answer]:
    """Everything that comes back until the connection is closed, or nothing more comes.

    half_close: say that this is all; nginx would take that for a client that has gone, and drop its request.
    """
    found = []
    timeout = 10 if half_close else SILENCE
    with contextlib.suppress(ConnectionError, TimeoutError), connect(base.url, timeout) as connection:
        connection.sendall(raw)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        while (answer := read_answer(connection)) is not None:
            found.append(answer)
    return found


def smuggled(base: Server) -> float:
    """Requests for paths that do not exist, which the app has seen."""
    return sum(value for name, value in base.metrics().items() if 'route="unknown"' in name and "_total" in name)


def test_a_request_behind_a_clear_one_is_counted(whole: tuple[Server, Path]) -> None:
    """The measure that the tests below rely on."""
    base, log = whole
    before = smuggled(base)
    assert [answer.status_code for answer in answers_of(base, get(b"X: y") + SMUGGLED)] == [200, 404]
    assert smuggled(base) == before + 1
    assert "/smuggled" in log.read_text()


@pytest.mark.parametrize("shape", SHAPES)
def test_directly(service: Server, shape: str) -> None:
    before = smuggled(service)
    answers = answers_of(service, SHAPES[shape], half_close=True)
    assert smuggled(service) == before
    assert all(answer.status_code < 500 or answer.status_code == 501 for answer in answers)
    if shape not in HARMLESS:
        assert len(answers) == 1, "nothing may follow on a connection whose first request is not clear"
        assert_error(answers[0], (400, 408, 413, 431, 501, 505))


@pytest.mark.parametrize("shape", SHAPES)
def test_behind_nginx(whole: tuple[Server, Path], shape: str) -> None:
    base, log = whole
    seen, counted = log.read_text().count("/smuggled"), smuggled(base)
    answers = answers_of(base, SHAPES[shape])
    assert requests.get(f"{base.url}/live", timeout=10).status_code == 200
    assert smuggled(base) - counted <= log.read_text().count("/smuggled") - seen, "the app saw what nginx did not"
    assert all(answer.status_code < 500 or answer.status_code in (501, 505) for answer in answers)
