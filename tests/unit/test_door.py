"""A door that is shut: nobody comes in, and nobody who was in before is put out."""

from __future__ import annotations

import socket
import sys

import pytest

from deploy import door
from tests.servers import short_folder

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has filters on listening sockets"),
]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_those_in_the_queue_are_served_and_no_others_come(family: socket.AddressFamily) -> None:
    try:
        listener = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    address = listener.getsockname()[:2]
    with listener, socket.create_connection(address, timeout=5) as before:
        door.shut([listener])
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.3)
        accepted, _ = listener.accept()
        with accepted:
            before.sendall(b"photo" * 100_000)
            before.shutdown(socket.SHUT_WR)
            got = b""
            while piece := accepted.recv(1 << 20):
                got += piece
            assert got == b"photo" * 100_000
            accepted.sendall(b"cat")
            assert before.recv(10) == b"cat"


def test_a_unix_socket_is_left_alone() -> None:
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        path = str(folder / "s")
        listener.bind(path)
        listener.listen()
        door.shut([listener])
        client.connect(path)
