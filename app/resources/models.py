"""What the service holds: GET /models in short, GET /models/<name> with all that a client needs to know."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from flask_restful import Resource

from model.errors import UnknownModel
from model.store import Model, Store, Version


class Models(Resource):
    """GET /models. Every model: {"models": [{"name", "default", "versions"}]}.

    A version has its number, its state and the labels that point at it, and its engine once it is AVAILABLE.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self) -> Response:
        """Answer."""
        return jsonify(models=[self._short(name) for name in self._store.names()])

    def _short(self, name: str) -> dict[str, Any]:
        labels = self._store.labels(name)
        versions = [_state(version, version.model, labels) for version in self._store.versions(name)]
        return {"name": name, "default": name == self._store.default, "versions": versions}


class OneModel(Resource):
    """GET /models/<name>. One model with its labels, its canary split and all of its versions, newest first.

    problem: why its serving.json is not in force, and what was before still is, or which of the versions that it names
    are not in the store; empty when all of it is.
    A version has its state with the reason and, once it is AVAILABLE, its engine, inputs and outputs, the classes it
    tells apart, what is done to a picture before the model sees it (null: it takes tensors), and how it was built.
    404: no such model; it lists what there is.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str) -> Response:
        """Answer."""
        store = self._store
        if name not in store.names():
            there = ", ".join(store.names()) or "none"
            raise UnknownModel(f"There is no model {name!r} here. Models: {there}.")
        labels = store.labels(name)
        return jsonify(
            name=name,
            default=name == store.default,
            labels=labels,
            split=store.split(name),
            problem=store.problem(name),
            versions=[_whole(version, labels) for version in store.versions(name)],
        )


def _state(version: Version, model: Model | None, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "version": version.version,
        "state": version.state,
        "labels": sorted(label for label, number in labels.items() if number == version.version),
        "engine": model.engine_name if model else None,
    }


def _whole(version: Version, labels: dict[str, str]) -> dict[str, Any]:
    model = version.model  # read once: another thread may unload it meanwhile
    state = _state(version, model, labels)
    return {**state, "reason": version.reason, **(_contents(model) if model else {})}


def _contents(model: Model) -> dict[str, Any]:
    bundle = model.bundle
    return {
        "inputs": [tensor.to_json() for tensor in bundle.inputs],
        "outputs": [tensor.to_json() for tensor in bundle.outputs],
        "classes": list(bundle.labels),
        "scores": bundle.scores,
        "preprocessing": bundle.preprocessing.to_json() if bundle.preprocessing else None,
        "built": bundle.built,
        "candidates": [candidate.to_json() for candidate in bundle.candidates],
    }
