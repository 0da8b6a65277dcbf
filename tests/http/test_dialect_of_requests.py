"""Every request is counted with its dialect, also where no version of a model ever saw it."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.http


def counted(client: FlaskClient, name: str, **labels: str) -> float:
    """Of all routes but that of the metrics, which asking for them adds to."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    asked = (sample for sample in samples if sample.labels["route"] != "/metrics")
    return sum(sample.value for sample in asked if labels.items() <= sample.labels.items())


@pytest.mark.parametrize(
    ("dialect", "method", "path", "status"),
    [
        ("tf_serving", "POST", "/v1/models/lion:predict", "400"),
        ("tf_serving", "GET", "/v1/models/lion", "404"),
        ("tf_serving", "GET", "/v1/models/pets/metadata", "200"),
        ("open_inference", "POST", "/v2/models/lion/infer", "404"),
        ("open_inference", "GET", "/v2/health/live", "200"),
        ("open_inference", "GET", "/v2/nowhere", "404"),
        ("sagemaker", "GET", "/ping", "200"),
        ("azure_ml", "GET", "/score", "405"),
        ("function_compute", "POST", "/initialize", "200"),
        ("kiln", "GET", "/live", "200"),
        ("kiln", "GET", "/nowhere", "404"),
    ],
)
def test_the_dialect_is_a_label(many: FlaskClient, dialect: str, method: str, path: str, status: str) -> None:
    def both() -> tuple[float, float]:
        return (
            counted(many, "kiln_requests_total", dialect=dialect, method=method, status=status),
            counted(many, "kiln_request_seconds_count", dialect=dialect),
        )

    requests, timed = both()
    assert str(many.open(path, method=method).status_code) == status
    assert both() == (requests + 1, timed + 1)
