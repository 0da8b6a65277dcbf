"""Times in order: what is further inside gives up first, so that the reason reaches the client."""

from __future__ import annotations

import math
from typing import NamedTuple

from .. import nginx
from ..chain import Chain
from ..findings import Finding, Findings, Level


class Step(NamedTuple):
    """One time must be less than another. why: what happens otherwise."""

    less: str
    seconds: float
    more: str
    limit: float
    why: str


def check(chain: Chain) -> Findings:
    """Compare each time with the next."""
    steps = _steps(chain)
    wrong = [step for step in steps if not step.seconds < step.limit]
    for step in wrong:
        message = f"{step.less} is {step.seconds:g} s, not less than {step.more}, {step.limit:g} s: {step.why}"
        yield Finding("timeouts", Level.PROBLEM, message, f"Lower {step.less} or raise {step.more}.")
    config = chain.settings
    if config.deadline >= config.body_timeout:
        message = (
            f"KILN_DEADLINE is {config.deadline:g} s, not less than KILN_BODY_TIMEOUT, {config.body_timeout:g} s: "
            "a request waits longer for its turn than anybody waits for its body."
        )
        yield Finding("timeouts", Level.WARNING, message, "Lower KILN_DEADLINE, unless the model is that slow.")
    if not wrong:
        order = ", ".join(f"{step.less} {step.seconds:g} s < {step.more} {step.limit:g} s" for step in steps)
        yield Finding("timeouts", Level.GOOD, f"{order}.")


def _steps(chain: Chain) -> list[Step]:
    config, conf = chain.settings, chain.gunicorn
    timeout, graceful = float(conf["timeout"]), float(conf["graceful_timeout"])
    worker = "gunicorn's timeout (KILN_TIMEOUT)"
    killed = "a worker that is only busy is killed, with the requests that it has."
    steps = [
        Step("KILN_DEADLINE", config.deadline, worker, timeout, killed),
        Step("KILN_BODY_TIMEOUT", config.body_timeout, worker, timeout, killed),
        Step("KILN_LOAD_WAIT", config.load_wait, worker, timeout, "a worker is killed before its model is loaded."),
    ]
    if chain.way:
        read = chain.way.seconds("proxy_read_timeout", "60s")
        why = "nginx gives up on requests that gunicorn would still have answered."
        steps.append(Step(worker, timeout, "nginx's proxy_read_timeout", read, why))
        steps += _idle(chain)
    if chain.unit:
        stop = chain.unit.seconds("TimeoutStopSec", 90) or math.inf  # 0 is no limit
        why = "systemd kills workers that are finishing their requests."
        leaving = "KILN_DRAIN and gunicorn's graceful_timeout together"
        steps.append(Step(leaving, config.drain + graceful, "systemd's TimeoutStopSec", stop, why))
        if watchdog := chain.unit.seconds("WatchdogSec", 0):
            why = "systemd ends the whole service before gunicorn has replaced one worker that hangs."
            steps.append(Step(worker, timeout, "systemd's WatchdogSec", watchdog, why))
    return steps


def _idle(chain: Chain) -> list[Step]:
    """Kept connections between nginx and gunicorn, where nginx keeps any: the side that sends must close first."""
    kept = {one.name: one.arguments for one in chain.upstream.block} if chain.upstream else {}
    if "keepalive" not in kept:
        return []
    idle = nginx.seconds(kept.get("keepalive_timeout", ("60s",))[0])
    why = "nginx sends a request on a connection that gunicorn is closing, and the client gets 502."
    return [
        Step(
            "nginx's keepalive_timeout of the upstream", idle, "gunicorn's keepalive", chain.gunicorn["keepalive"], why
        )
    ]
