"""The table of every URL."""

from __future__ import annotations

from flask import Flask

from . import errors
from .resources.demo import Demo
from .resources.health import Live, Ready, Version
from .resources.metrics import Metrics
from .resources.models import Models, OneModel
from .resources.openapi import OpenApi
from .resources.predict import Predict
from .settings import leaving_mark


def install(app: Flask) -> None:
    """Put every URL and the one error serialiser on the app."""
    errors.install(app)
    parts = app.extensions["kiln"]
    store, settings = parts["store"], parts["settings"]
    api = errors.Api(app)
    api.add_resource(Predict, "/predict", resource_class_args=(store, settings))
    api.add_resource(Models, "/models", resource_class_args=(store,))
    api.add_resource(OneModel, "/models/<name>", resource_class_args=(store,))
    api.add_resource(Live, "/live")
    api.add_resource(Ready, "/ready", resource_class_args=(store, leaving_mark()))
    api.add_resource(Version, "/version", resource_class_args=(store,))
    api.add_resource(Metrics, "/metrics")
    api.add_resource(OpenApi, "/openapi.json", resource_class_args=(store, settings))
    api.add_resource(Demo, "/", resource_class_args=(store, settings))
