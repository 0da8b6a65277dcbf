"""HTTP. Flask lives here and only here."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from . import settings

if TYPE_CHECKING:
    from flask import Flask

    from model.store import Store


def create_app(config: settings.Settings | None = None) -> Flask:
    """The WSGI application. Called once in each worker, after fork: settings, logging, model store, routes.

    The model is loaded in a thread, so that a slow one does not keep the worker from answering /live and
    /ready; a model that loads within `load_wait` seconds is ready before the first connection is taken.
    """
    # Imported here, not above: the launcher and gunicorn's master import app.settings and nothing more of us.
    from flask import Flask

    from model.preprocess import Limits
    from model.store import Store

    from . import routes
    from .admission import Admission
    from .express import Express
    from .telemetry import logs, metrics, request_id

    config = config or settings.read()
    logs.configure(config.log_level)
    store = Store(config.store, Limits(max_pixels=config.max_pixels))
    _load(store, config)

    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = config.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = config.max_body_bytes
    app.extensions["kiln"] = {
        "settings": config,
        "store": store,
        "express": Express(store, config),
        "admission": Admission(config.deadline),
    }
    request_id.install(app)
    metrics.install(app, access_log=config.access_log)
    routes.install(app)
    return app


def _load(store: Store, config: settings.Settings) -> None:
    from .telemetry import logs, metrics

    def load() -> None:
        try:
            version = store.load(config.model, config.engine or None)
        except Exception:
            logs.logger.exception("model %s failed to load", config.model)
            version = store.versions()[0]
        metrics.model_state(version)
        logs.logger.info("model %s version %s: %s", version.name, version.version, version.reason or version.state)

    loader = threading.Thread(target=load, name="load-model", daemon=True)
    loader.start()
    loader.join(config.load_wait)
