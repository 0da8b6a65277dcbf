"""The table of every URL, and of the dialects."""

from __future__ import annotations

from importlib import import_module

from flask import Flask

from model.store import Store

from . import errors
from .dialects import Dialect, Dialects
from .resources.demo import Demo
from .resources.health import Live, Ready, Version
from .resources.metrics import Metrics
from .resources.models import Models, OneModel
from .resources.openapi import OpenApi
from .resources.predict import ROUTE, Predict, quick
from .settings import Settings
from .telemetry.timing import KILN


def spoken(settings: Settings) -> Dialects:
    """The dialects that the settings name, and our own. Only what is on is imported."""
    others: list[Dialect] = [import_module(f".resources.{name}", __package__).DIALECT for name in settings.dialects]
    return Dialects(others, Dialect(KILN, lambda path: True, _install_own, quick=quick), settings)


def install(app: Flask) -> None:
    """Put every URL and the one error serialiser on the app."""
    errors.install(app)
    parts = app.extensions["kiln"]
    api = errors.Api(app)
    api.add_resource(
        OpenApi, "/openapi.json", resource_class_args=(parts["store"], parts["settings"], parts["dialects"])
    )
    for dialect in parts["dialects"]:
        dialect.install(api, parts["store"], parts["settings"])


def _install_own(api: errors.Api, store: Store, settings: Settings) -> None:
    api.add_resource(Predict, ROUTE, resource_class_args=(store, settings))
    api.add_resource(Models, "/models", resource_class_args=(store,))
    api.add_resource(OneModel, "/models/<name>", resource_class_args=(store,))
    api.add_resource(Live, "/live")
    api.add_resource(Ready, "/ready", resource_class_args=(store,))
    api.add_resource(Version, "/version", resource_class_args=(store,))
    api.add_resource(Metrics, "/metrics")
    api.add_resource(Demo, "/", resource_class_args=(store, settings))
