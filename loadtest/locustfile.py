"""Photos posted to /predict by locust, with thresholds that set the exit status. docs/load.md shows how to use it.

Closed loop: each user posts again once it has its answer (and has waited for --think seconds). Open loop
(--arrivals): requests start at random moments, so many a second in the mean, whether or not earlier ones were
answered; only so does an overload show.
"""

from __future__ import annotations

import argparse
import functools
import logging
import math
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent.pool
import locust.stats
from flask import Response, jsonify, request
from locust import FastHttpUser, events, task
from locust.argument_parser import LocustArgumentParser
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from locust.exception import StopUser
from locust.rpc import Message
from locust.runners import WorkerRunner
from locust.web import WebUI

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from loadtest import key
from loadtest.arrivals import Arrivals
from loadtest.bodies import Bodies
from loadtest.photos import FOLDER, WAYS, find_photos
from loadtest.processes import Failed

_PATIENCE = 30.0  # seconds for one answer
_MOST_OPEN = 2000  # connections of a user in open loop
_SHORT = 0.95  # of the rate asked for: what is less is said
_LOOK = 1.0  # seconds until a user sees that the rate was changed

# To the millisecond, by the hook that locust has for it: left alone it keeps two digits, and 1049 ms pass for 1000.
locust.stats.bucket_response_time = round

_headers: dict[str, str] = {}  # of every request
_arrivals: list[Arrivals] = []  # of each user that there was, in this process
_paces: dict[str, tuple[float, float]] = {}  # requests sent and missed in open loop, by worker
_PACE = "kiln_pace"  # the same in a worker's report
_refused: list[str] = []  # why nothing can be posted
_REFUSED = "kiln_refused"  # the message of a worker that says so to its master


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 on")
    return amount


def _part(text: str) -> float:
    if (part := _amount(text)) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no part of all requests: 0.01 is one in 100")
    return part


@events.init_command_line_parser.add_listener
def _options(parser: LocustArgumentParser | argparse.ArgumentParser) -> None:
    parser.add_argument("--photos", default=str(FOLDER), metavar="DIR", help="folder of photos to post")
    parser.add_argument("--way", default="all", choices=("all", *WAYS), help="how to post (default: all, in turns)")
    parser.add_argument(
        "--arrivals", type=_amount, default=0.0, metavar="RATE", help="open loop: requests a second, of all users"
    )
    parser.add_argument("--think", type=_amount, default=0.0, metavar="SECONDS", help="closed loop: pause of a user")
    parser.add_argument("--max-p95", type=_amount, default=0.0, metavar="MS", help="fail above it (0: any)")
    parser.add_argument("--max-p99", type=_amount, default=0.0, metavar="MS", help="fail above it (0: any)")
    parser.add_argument(
        "--max-error-rate", type=_part, default=0.0, metavar="PART", help="fail above it, 0.01 is one in 100"
    )


@functools.lru_cache(maxsize=1)
def _bodies(photos: str, way: str) -> Bodies:
    """What users post. Raises Failed where the folder has no photos, or some that cannot be read."""
    return Bodies(Path(photos), WAYS if way == "all" else (way,))


@events.init.add_listener
def _look(environment: Environment, **_: Any) -> None:
    """End here where the key or the photos are of no use. Workers leave the photos to their master, who names them."""
    options = environment.parsed_options
    if options is None:
        return
    try:
        _headers.update(key.headers())
        if not isinstance(environment.runner, WorkerRunner):
            find_photos(Path(options.photos))
            environment.runner.register_message(_REFUSED, _refuse)
    except Failed as failed:
        sys.exit(f"kiln: {failed}")


@events.init.add_listener
def _check_page(environment: Environment, web_ui: WebUI | None = None, **_: Any) -> None:
    """Answer the page's start button with what is wrong, and start nothing."""
    if web_ui is None or environment.parsed_options is None:
        return
    start = f"{environment.parsed_options.web_base_path}/swarm"

    @web_ui.auth_required_if_enabled
    def check() -> Response | None:
        message = " ".join(_wrong(request.form))
        return jsonify(success=False, message=message, host=environment.host) if message else None

    web_ui.app.before_request(lambda: check() if request.method == "POST" and request.path == start else None)


def _wrong(form: Mapping[str, str]) -> list[str]:
    """All that is wrong with the options of the page: what the command line refuses, and the photos."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    _options(parser)
    found = []
    for name in vars(parser.parse_args([])):
        if name in form:
            try:
                parser.parse_args([f"--{name.replace('_', '-')}={form[name]}"])
            except argparse.ArgumentError as error:
                found.append(f"{error}.")
    if "photos" in form:
        try:
            find_photos(Path(form["photos"]))
        except Failed as failed:
            found.append(str(failed))
    return found


@events.test_start.add_listener
def _look_anew(**_: Any) -> None:
    _bodies.cache_clear()
    for kept in (_refused, _arrivals, _paces):
        kept.clear()


def _refuse(environment: Environment, msg: Message, **_: Any) -> None:
    """Stop a test of which a user found that it cannot post."""
    if msg.data in _refused:
        return
    _refused.append(msg.data)
    logging.error("kiln: %s", msg.data)
    gevent.spawn(environment.runner.quit if environment.parsed_options.headless else environment.runner.stop)


class _Dispatcher(UsersDispatcher):
    """Notes the number of all users among the options, which locust hands to each worker with its own share of them."""

    def __init__(self, options: argparse.Namespace, **rest: Any) -> None:
        super().__init__(**rest)
        self._options = options

    def new_dispatch(self, target_user_count: int, *rest: Any, **more: Any) -> None:
        self._options.kiln_users = target_user_count
        super().new_dispatch(target_user_count, *rest, **more)


@events.init.add_listener
def _count_users(environment: Environment, **_: Any) -> None:
    if environment.parsed_options is not None:
        environment.dispatcher_class = functools.partial(_Dispatcher, environment.parsed_options)


class Client(FastHttpUser):
    """One who posts photos, by every way in turns."""

    network_timeout = connection_timeout = _PATIENCE
    concurrency = _MOST_OPEN

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.client.base_url = self.client.base_url.rstrip("/")  # http://host/prefix/ is http://host/prefix

    def on_start(self) -> None:
        """Start anywhere in the folder, so that users do not post the same photo at once."""
        self._turn = random.randrange(2**16)
        self._arrivals = Arrivals()
        _arrivals.append(self._arrivals)
        self._open = gevent.pool.Group()

    def on_stop(self) -> None:
        """What was sent counts: a slow answer left out would flatter the server."""
        self._arrivals.rest(time.perf_counter())
        self._open.join(timeout=_PATIENCE)

    def wait_time(self) -> float:
        """Seconds until this user posts again; in open loop until it looks whether a request is due."""
        options = self.environment.parsed_options
        if not options.arrivals:
            return float(options.think)
        return min(max(0.0, self._arrivals.due - time.perf_counter()), _LOOK)

    @task
    def post(self) -> None:
        """Post the next photo; in open loop when it is due, without waiting for its answer."""
        options = self.environment.parsed_options
        if not options.arrivals:
            self._arrivals.rest(time.perf_counter())
            self._send(*self._next())
        elif self._arrivals.take(time.perf_counter(), options.arrivals / max(1, options.kiln_users)):
            self._open.spawn(self._send, *self._next())

    def _next(self) -> tuple[str, bytes, str]:
        """(name in the statistics, body, Content-Type), by the options of this moment: the web page changes them."""
        options = self.environment.parsed_options
        try:
            bodies = _bodies(options.photos, options.way)
            way, body, kind = bodies.get(self._turn % len(bodies))
        except Failed as failed:
            self.environment.runner.send_message(_REFUSED, str(failed))
            raise StopUser from failed
        self._turn += 1
        return f"/predict {way}", body, kind

    def _send(self, name: str, body: bytes, kind: str) -> None:
        headers = {"Content-Type": kind, **_headers}
        with self.client.post("/predict", body, name=name, headers=headers, catch_response=True) as answer:
            if answer.status_code == 200 and b'"predictions"' not in (answer.content or b""):
                answer.failure("200 without predictions")


def _pace() -> tuple[float, float]:
    """(requests sent, requests missed) by the users of this process in open loop."""
    now = time.perf_counter()
    return sum(each.sent for each in _arrivals), sum(each.missed(now) for each in _arrivals)


@events.report_to_master.add_listener
def _report_pace(data: dict[str, Any], **_: Any) -> None:
    data[_PACE] = _pace()


@events.worker_report.add_listener
def _note_pace(client_id: str, data: dict[str, Any], **_: Any) -> None:
    sent, missed = data[_PACE]
    _paces[client_id] = (sent, missed)


def _too_slow(arrivals: float) -> str:
    """What is to be said where fewer requests were sent than asked for, or nothing."""
    paces = [_pace(), *_paces.values()]
    sent, missed = (sum(numbers) for numbers in zip(*paces, strict=True))
    if not arrivals or sent >= _SHORT * (sent + missed):
        return ""
    rate = arrivals * sent / (sent + missed)
    return (
        f"{arrivals:.10g} requests a second were asked for, {rate:.4g} were sent: give locust more cores "
        "(--processes N, with at least as many users: -u N -r N)"
    )


def _slow_ramp(options: argparse.Namespace, seconds: float) -> str:
    """What is to be said where users came so slowly that the rate was not reached for a part of the time, or nothing.

    Each user has its share of the rate. seconds: of the whole test.
    """
    if not options.headless or not options.arrivals:
        return ""
    users, rate = options.num_users or 1, options.spawn_rate or 1
    ramp = min(users / rate - 1, seconds)  # the first ones come at once
    if ramp <= 2 * (1 - _SHORT) * seconds:
        return ""
    return f"{users} users came {rate:g} a second, and the rate grew with them for {ramp:.0f} s: set -r to {users}"


@events.quitting.add_listener
def _judge(environment: Environment, **_: Any) -> None:
    """Exit status 1 where a threshold is broken. locust's workers leave that to their master."""
    if isinstance(environment.runner, WorkerRunner):
        return
    options, total = environment.parsed_options, environment.stats.total
    if options is None:
        return
    found = [*_refused]
    found += ["no request was answered"] if total.num_requests == total.num_failures else []
    if total.fail_ratio > options.max_error_rate:
        found.append(f"error rate {total.fail_ratio:.4f}, at most {options.max_error_rate:g} wanted")
    for share, most in ((0.95, options.max_p95), (0.99, options.max_p99)):
        if most and (value := total.get_response_time_percentile(share)) > most:
            found.append(f"p{share * 100:.0f} {value:.0f} ms, at most {most:g} wanted")
    seconds = (total.last_request_timestamp or total.start_time) - total.start_time
    slow = [problem for problem in (_too_slow(options.arrivals), _slow_ramp(options, seconds)) if problem]
    for problem in found + slow:
        print(f"kiln: {environment.host}: {problem}", file=sys.stderr)
    if options.max_p95 or options.max_p99:  # which were looked at with less than the load
        found += slow
    environment.process_exit_code = 1 if found else 0
