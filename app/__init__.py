"""HTTP. Flask lives here and only here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import settings

if TYPE_CHECKING:
    from flask import Flask

    from .keys.guard import Guard


def create_app(config: settings.Settings | None = None) -> Flask:
    """The WSGI application. Called once in each worker, after fork: settings, logging, model store, routes.

    Models are loaded in a thread, so that a slow one does not keep the worker from answering /live and /ready; those
    that load within `load_wait` seconds are ready before the first connection is taken.
    """
    # Imported here, not above: the launcher and gunicorn's master import app.settings and nothing more of us.
    from model.preprocess import Limits
    from model.store import Store, Tuning

    from .telemetry import logs, metrics

    config = config or settings.read()
    logs.configure(config.log_level)
    metrics.started(config.worker_count())
    store = Store(
        config.store,
        Limits(max_pixels=config.max_pixels),
        default=config.model,
        models=config.models,
        engine=config.engine or None,
        tuning=Tuning(config.engine_thread_count(), config.max_batch, config.batch_delay),
        on_change=metrics.model_state,
        on_load=metrics.load,
        on_batch=metrics.batch,
    )
    store.watch()

    # While the models load.
    from flask import Flask

    from . import collector, dialects, routes
    from .admission import Admission
    from .express import Express
    from .rule import QuickRule
    from .telemetry import recording, request_id, tracing

    if ignored := settings.untraced():
        logs.logger.warning("%s", ignored)
    recorder = recording.Recorder(access_log=config.access_log, tracer=tracing.start() if settings.traced() else None)
    spoken = routes.spoken(config)
    guard = _guard(config)
    app = Flask(__name__)
    app.url_rule_class = QuickRule
    app.config["MAX_CONTENT_LENGTH"] = config.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = config.max_body_bytes
    app.extensions["kiln"] = {
        "settings": config,
        "store": store,
        "dialects": spoken,
        "express": Express(spoken, store, config, recorder, guard.passes if guard else None),
        "admission": Admission(config.deadline, recorder),
        "recorder": recorder,
    }
    collector.install(app)
    dialects.install(app, spoken)
    request_id.install(app, spoken.offered_id)
    recording.install(app, recorder)
    if guard:
        guard.install(app, spoken.probes)
    routes.install(app)
    store.wait(config.load_wait)
    return app


def _guard(config: settings.Settings) -> Guard | None:
    """Of the API keys, where there are any."""
    if not config.api_keys:
        return None
    from .keys.guard import Guard
    from .telemetry.declared import FOLDER

    return Guard(Path(config.api_keys), FOLDER)
