"""Memory of a server: PSS, in which a page that several processes share is counted once, divided among them."""

from __future__ import annotations

import contextlib
import http.client
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import servers
from .processes import Failed, Program
from .servers import PHOTO, Server, post

_REQUESTS = 200  # on each worker
_CONNECTIONS = 4  # on each worker
_TRIES = 200  # connections opened for each worker until they are spread
_OWN = re.compile(r"^Pss_(?:Anon|Shmem):\s+(\d+) kB", re.MULTILINE)
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def available() -> bool:
    """Does this system tell the PSS? Linux does."""
    return Path("/proc/self/smaps_rollup").exists()


def megabytes(program: Program) -> float:
    """PSS of the program and all that it started, in units of 10^6 bytes."""
    return _sum([process.pid for process in program.everyone()], _PSS)


def own_megabytes(processes: Sequence[int]) -> float:
    """The part of it that no file on disk backs, in units of 10^6 bytes.

    A library's pages count for less while other programs use it, too, and for more when these end. For comparing one
    moment with another, only this part tells what the processes themselves have done.
    """
    return _sum(processes, _OWN)


def _sum(processes: Sequence[int], lines: re.Pattern[str]) -> float:
    return sum(int(number) for process in processes for number in lines.findall(_rollup(process))) * 1024 / 1e6


def _rollup(process: int) -> str:
    """Nothing for a process that has ended meanwhile, as helpers of some servers do."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/smaps_rollup").read_text()
    return ""


def kiln(workers: int) -> float:
    """Megabytes of Kiln with that many workers, each of which has answered 200 requests."""
    with servers.kiln(workers) as server:
        with connections(server, workers) as held:
            _work(held)
        return megabytes(server.program)


@contextlib.contextmanager
def connections(server: Server, workers: int) -> Iterator[list[http.client.HTTPConnection]]:
    """Kept-alive connections, the same number to each worker: the system hands them out as it likes, so try."""
    held: dict[int, list[http.client.HTTPConnection]] = {}
    with contextlib.ExitStack() as stack:
        for _ in range(_TRIES * workers):
            connection = stack.enter_context(contextlib.closing(server.connect()))
            post(connection, PHOTO.read_bytes())
            mine = held.setdefault(_owner(server, connection), [])
            if len(mine) < _CONNECTIONS:
                mine.append(connection)
            else:
                connection.close()
            if len(held) == workers and all(len(some) == _CONNECTIONS for some in held.values()):
                yield [connection for some in held.values() for connection in some]
                return
    raise Failed(f"{workers} workers were started, but connections reached only {len(held)}.")


def _owner(server: Server, connection: http.client.HTTPConnection) -> int:
    """The process id of the worker at the other end."""
    own = connection.sock.getsockname()
    for process in server.program.family():
        if any(link.raddr == own for link in process.net_connections("tcp")):
            return int(process.pid)
    raise Failed("The server closed a connection that it should have kept.")


def _work(connections: list[http.client.HTTPConnection]) -> None:
    photo = PHOTO.read_bytes()

    def post_all(connection: http.client.HTTPConnection) -> None:
        for _ in range(_REQUESTS // _CONNECTIONS):
            post(connection, photo)

    threads = [threading.Thread(target=post_all, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
