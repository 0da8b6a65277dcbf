"""Limits of open files, and of connections that wait to be taken."""

from __future__ import annotations

import resource
from pathlib import Path

from .. import nginx
from ..chain import Chain
from ..findings import Finding, Findings, Level

_OTHERS = 100  # files of the libraries, the models, the log


def check(chain: Chain) -> Findings:
    """Compare what a process may open with what it will."""
    need = int(chain.gunicorn["worker_connections"]) + _OTHERS
    named = chain.unit.last("LimitNOFILE") if chain.unit else ""
    soft = named.partition(":")[0]
    limit = int(soft) if soft.isdecimal() else 524288 if named else resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < need:
        message = f"A worker may open {limit} files and needs {need} for its connections."
        yield Finding("files", Level.PROBLEM, message, f"LimitNOFILE={4 * need} in the unit, or ulimit -n.")
    else:
        yield Finding("files", Level.GOOD, f"A worker may open {limit:,} files and needs {need:,}.")
    yield from _of_nginx(chain)
    backlog = int(chain.gunicorn["backlog"])
    kernel = Path("/proc/sys/net/core/somaxconn")
    if kernel.exists() and (most := int(kernel.read_text())) < backlog:
        message = f"gunicorn lets {backlog} connections wait, the kernel {most}: in a burst nginx answers 502."
        yield Finding("files", Level.WARNING, message, f"sysctl net.core.somaxconn={backlog}")


def _of_nginx(chain: Chain) -> Findings:
    first = {
        one.name: one.arguments[0]
        for one in (*nginx.find(chain.nginx, "worker_connections"), *chain.nginx)
        if one.arguments
    }
    if "worker_rlimit_nofile" not in first:
        return
    files, connections = int(first["worker_rlimit_nofile"]), int(first.get("worker_connections", "512"))
    if files < 2 * connections:
        message = f"nginx may open {files} files (worker_rlimit_nofile) and takes {connections} connections, of which"
        message += " each can hold two."
        yield Finding("files", Level.PROBLEM, message, f"worker_rlimit_nofile {3 * connections};")
    else:
        yield Finding("files", Level.GOOD, f"nginx may open {files:,} files for {connections:,} connections.")
