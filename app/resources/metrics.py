"""GET /metrics for Prometheus."""

from __future__ import annotations

from flask import Response
from flask_restful import Resource

from ..telemetry import metrics


class Metrics(Resource):
    """GET /metrics. The counts of all workers together, in Prometheus' text format."""

    def get(self) -> Response:
        """Answer."""
        body, content_type = metrics.exposition()
        return Response(body, content_type=content_type)
