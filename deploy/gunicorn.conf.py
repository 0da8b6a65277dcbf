"""How gunicorn runs Kiln. Also found as ./gunicorn.conf.py, so plain `gunicorn api:app` uses it too.

Command-line options of gunicorn override what is set here.
"""

import gc
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path

gc.disable()  # until all is imported: nothing of that is garbage

# Before numpy is imported: its linear algebra would start a thread for each core in the master, and threads do
# not survive a fork. The engine brings its own thread pool.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_root = str(Path(__file__).resolve().parent.parent)
if _root not in sys.path:
    sys.path.insert(0, _root)
from deploy import imports as _imports

_imports.finder.start()

from deploy import own_code as _own_code

_is_new = os.environ.get("KILN_METRICS_OWNER") != str(os.getpid())
if not _is_new:  # HUP runs this file again in the same process, and takes new code
    _own_code.forget()

# Read first: wrong settings must leave nothing behind.
from app import settings as _settings
from deploy import notify as _notify
from deploy import reload as _reload

_reload.take_over(os.environ)
_config = _settings.read()
_notify.hide_from_gunicorn()

# Workers count into files of this folder; any of them can then answer for all. Made anew by each master (also by
# the successor that USR2 starts), kept over HUP.
if _is_new:
    _memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()  # noqa: S108  private folder
    for _left in Path(_memory).glob("kiln-metrics-*-*"):  # by masters that were killed
        if Path("/proc/self").exists() and not Path("/proc", _left.name.split("-")[2]).exists():
            shutil.rmtree(_left, ignore_errors=True)  # another user's stays: it cannot be removed
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=f"kiln-metrics-{os.getpid()}-", dir=_memory)
    os.environ["KILN_METRICS_OWNER"] = str(os.getpid())

# Outside libraries, and what brings them, are imported once here and shared by all workers: a worker starts in half the
# time and costs half the memory. Never an engine: TensorFlow loaded before a fork hangs.
import flask_restful  # noqa: F401
import orjson  # noqa: F401
from gunicorn.glogging import Logger as _Logger
from prometheus_client import multiprocess

from app.telemetry.logs import JsonFormatter as _JsonFormatter
from deploy import drain as _drain
from deploy.queues import Queues as _Queues
from model import preprocess as _preprocess  # noqa: F401  brings numpy and the picture formats that are served

if _is_new:  # not on HUP: what was imported before is garbage then
    gc.freeze()  # out of the collector's sight, before it looks: going through all of this once takes 20 ms
gc.enable()

_stamps = _own_code.stamps()

wsgi_app = "api:app"
bind = [_config.address]
workers = _config.worker_count()
# A request that is here as a whole is answered in the worker's main loop; threads wait for slow clients. gthread,
# with bounded waits and JSON errors.
worker_class = "deploy.worker.Worker"
threads = _config.threads
timeout = _config.timeout
# Each connection is an open file. Who comes when all are taken waits, and the longest idle one is closed for him.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_files = 8192 if _hard == resource.RLIM_INFINITY else min(8192, _hard)
if _soft != resource.RLIM_INFINITY and _soft < _files:
    resource.setrlimit(resource.RLIMIT_NOFILE, (_files, _hard))
worker_connections = max(100, min(4000, _files - 200))
graceful_timeout = 30
if _config.platform == "sagemaker":
    graceful_timeout -= 5  # it kills a container 30 s after SIGTERM
_queues = _Queues(max(64, 2 * workers))  # workers may be added by a signal
keepalive = _config.keep_alive  # longer than nginx keeps its upstream connections, so that nginx closes them
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  heartbeats must not wait for a disk
control_socket_disable = True
loglevel = _config.log_level


class logger_class(_Logger):
    """gunicorn's log in the app's form, JSON; its access log, where an option asks for one, stays as that says."""

    def _set_handler(self, log, output, fmt, stream=None):
        super()._set_handler(log, output, _JsonFormatter() if log is self.error_log else fmt, stream)


proc_name = "kiln"


def on_starting(server):
    """Freeze what the master holds, so that the collector in a worker does not touch (and so copy) shared pages.

    Most of it is frozen already.
    """
    _drain.heed_at_birth(server)
    gc.collect()
    gc.freeze()


def when_ready(server):
    """Under systemd: tell it when the service answers; gunicorn calls this before there is a worker. Then be ready to
    leave in a way that a load balancer can follow."""
    _notify.start(server.LISTENERS)
    on_reload(server)


def on_reload(server):
    """All is imported. The delay before a stop may be another one."""
    _imports.finder.stop()
    _drain.install(server, _settings.leaving_mark(), _config.drain)


def pre_fork(server, worker):
    """Give the worker the lowest free slot; its metrics files are named by it, and its queue is told in it."""
    taken = {getattr(other, "slot", None) for other in server.WORKERS.values()}
    worker.slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
    worker.queues = _queues


def post_fork(server, worker):
    """Tell the worker its slot, before it imports the app. Nothing of what it imports is garbage."""
    os.environ["KILN_WORKER_SLOT"] = str(worker.slot)
    _imports.finder.start()
    _own_code.forget_if_changed(_stamps)
    gc.disable()


def post_worker_init(worker):
    """The app is there. It stays, so that the collector need never go through it."""
    _imports.finder.stop()
    gc.freeze()
    gc.enable()


def worker_exit(server, worker):
    """In the worker: send what traces are left."""
    if recorder := getattr(worker, "recorder", None):  # not there if it ends before the app is loaded
        recorder.close()


def child_exit(server, worker):
    """A worker is gone: forget its live gauges and its queue, keep its counters."""
    multiprocess.mark_process_dead(worker.slot)
    worker.queues.leave(worker.slot)


def on_exit(server):
    """Leave nothing behind."""
    if os.environ.get("KILN_METRICS_OWNER") == str(os.getpid()):
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
