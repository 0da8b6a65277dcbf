"""Cores against workers and the threads of their engines."""

from __future__ import annotations

from app import cores

from ..chain import Chain
from ..findings import Finding, Findings, Level


def check(chain: Chain) -> Findings:
    """Together they must not want more cores than there are."""
    config, there = chain.settings, cores.usable()
    workers, threads = chain.workers, config.engine_thread_count()
    wanted = f"{workers} workers with {threads} engine threads each"
    remedy = "Set KILN_WORKERS and KILN_ENGINE_THREADS to 0."
    if workers != config.worker_count():
        remedy = f"Take --workers off gunicorn's command line (ExecStart, GUNICORN_CMD_ARGS). {remedy}"
    if workers * threads > there:
        message = f"{wanted} want {workers * threads} cores, and there are {there}: they take turns, and answers wait."
        yield Finding("cores", Level.WARNING, message, remedy)
    elif workers * threads < there:
        message = f"{wanted} use {workers * threads} of {there} cores."
        yield Finding("cores", Level.WARNING, message, remedy)
    else:
        yield Finding("cores", Level.GOOD, f"{wanted} on {there} cores.")
