"""Closing a listening socket without resetting anybody who has just come in.

The kernel completes a connection before any process knows of it, and resets those that still wait to be accepted when
the socket is closed: their clients cannot tell that from a request that was begun and lost. However quickly the last
look at the queue and the close follow each other, somebody comes in between now and then (one stop in forty, with eight
clients that connect all the time on two busy cores). So nobody is let in from a moment before: a filter on the socket
drops what asks for a connection. Those clients ask again after a second, and are refused, or find a successor.

The master imports this file, so it imports neither the app nor an engine.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys
from collections.abc import Iterable

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python has no name for it
# Classic BPF, of what begins with the TCP header: packets with the flag SYN are dropped, all others pass. The last
# steps of handshakes that are under way must, and connections inherit the filter from the socket that they came by.
# Linux, Documentation/networking/filter.rst; RFC 9293 section 3.1 for the flags.
_NO_SYN = b"".join(
    struct.pack("HBBI", *step)
    for step in (
        (0x30, 0, 0, 13),  # load the byte of the flags
        (0x45, 0, 1, 0x02),  # is SYN among them?
        (0x06, 0, 0, 0),  # drop all of it
        (0x06, 0, 0, 0xFFFF),  # keep all of it
    )
)


def shut(listeners: Iterable[socket.socket]) -> None:
    """Let no new TCP connection in, for good; what was let in stays.

    For sockets that nobody else goes on with: the filter is the socket's, not a process's. Where the system has no such
    filter, nothing happens.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_NO_SYN, len(_NO_SYN))
    told = struct.pack("HP", len(_NO_SYN) // 8, ctypes.addressof(program))
    for listener in listeners:
        if listener.family in (socket.AF_INET, socket.AF_INET6):
            with contextlib.suppress(OSError):  # not every sandbox has it
                listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, told)
