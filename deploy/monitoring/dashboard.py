"""The Grafana dashboard, made of the declared metrics: `python -m deploy.monitoring.dashboard > dashboard.json`.

An expression is built from the metric itself, never from its name, so a metric that is renamed or loses a label fails
here. tests/unit/test_monitoring.py asserts that every metric has its place and that dashboard.json is up to date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from app.telemetry import declared

WIDTH, HEIGHT = 8, 7  # of a panel, in Grafana's grid of 24 columns: three in a row
NODES = 'job="kiln", instance=~"$instance"'
MODELS = 'model=~"$model"'
FAILED, REFUSED = 'status=~"5..", status!="503"', 'status="503"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
Query = tuple[str, str]  # expression, legend


def of(metric: Counter | Gauge | Histogram, *which: str, part: str = "") -> str:
    """The metric's series on the chosen nodes, and of the chosen models where it has any. part: of a histogram."""
    [described] = metric.describe()
    name = described.name + ("_total" if described.type == "counter" else part)
    chosen = [NODES, MODELS] if "model" in metric._labelnames else [NODES]
    return f"{name}{{{', '.join([*chosen, *which])}}}"


def rate(metric: Counter | Histogram, *which: str, by: str = "", part: str = "") -> str:
    """How fast it grows, each second, summed up but for the labels `by`."""
    for label in filter(None, by.split(", ")):
        if label not in (*metric._labelnames, "instance", "le"):
            raise ValueError(f"{metric} has no label {label!r}")
    return f"sum by ({by}) (rate({of(metric, *which, part=part)}[$__rate_interval]))"


def quantiles(metric: Histogram, *which: str, by: str = "") -> list[Query]:
    """The median and the 99th percentile."""
    legend = " ".join(f"{{{{{label}}}}}" for label in filter(None, by.split(", ")))
    buckets = rate(metric, *which, by=", ".join(filter(None, ("le", by))), part="_bucket")
    return [
        (f"histogram_quantile({share}, {buckets})", f"{name} {legend}".strip())
        for share, name in ((0.5, "median"), (0.99, "p99"))
    ]


def mean(metric: Histogram, by: str) -> str:
    """The mean value."""
    return f"{rate(metric, by=by, part='_sum')} / {rate(metric, by=by, part='_count')}"


def panels() -> Iterator[tuple[str, str, str, list[Query]]]:
    """(title, meaning, unit, queries) of each panel; a title alone begins a row."""
    d = declared
    predictions = 'route="/predict"'
    busy = (
        f"({rate(d.DECODE_SECONDS, by='instance', part='_sum')} + {rate(d.INFER_SECONDS, by='instance', part='_sum')})"
    )
    version = "model, version"
    named = "{{model}} {{version}}"

    yield "Traffic and errors", "", "", []
    yield "Requests", "By status.", "reqps", [(rate(d.REQUESTS, by="status"), "{{status}}")]
    yield (
        "Failed",
        "Part of the requests that got a 5xx; 503 is a refusal.",
        "percentunit",
        [
            (f"({rate(d.REQUESTS, FAILED)} or vector(0)) / {rate(d.REQUESTS)}", "failed"),
            (f"({rate(d.REQUESTS, REFUSED)} or vector(0)) / {rate(d.REQUESTS)}", "refused"),
        ],
    )
    yield "Errors", "By code; see docs/api.md.", "reqps", [(rate(d.ERRORS, by="code"), "{{code}}")]
    yield "Protocols", "By dialect; see docs/protocols.md.", "reqps", [(rate(d.REQUESTS, by="dialect"), "{{dialect}}")]

    yield "Latency", "", "", []
    yield (
        "In the application",
        "Predictions, their time in the queue left out.",
        "s",
        quantiles(d.REQUEST_SECONDS, predictions),
    )
    yield "In the queue", "Before work on a request began.", "s", quantiles(d.QUEUE_SECONDS)
    yield "Decoding", "The pictures of a request.", "s", quantiles(d.DECODE_SECONDS, by="model")

    yield "Saturation", "", "", []
    yield (
        "Backlog",
        "Waiting: in the queues. In flight: with the threads.",
        "short",
        [
            (f"sum by (instance) ({of(d.WAITING)})", "waiting {{instance}}"),
            (f"sum by (instance) ({of(d.IN_FLIGHT)})", "in flight {{instance}}"),
        ],
    )
    yield (
        "Workers at work",
        "Part of the workers' time spent on the chosen models: decoding and in engines.",
        "percentunit",
        [(f"{busy} / sum by (instance) ({of(d.WORKERS)})", "{{instance}}")],
    )
    yield (
        "Workers",
        "That run, that should, and starts in an hour.",
        "short",
        [
            (f"sum by (instance) ({of(d.WORKERS)})", "run {{instance}}"),
            (f"sum by (instance) ({of(d.WORKERS_CONFIGURED)})", "configured {{instance}}"),
            (f"sum by (instance) (increase({of(d.WORKER_STARTS)}[1h]))", "starts {{instance}}"),
        ],
    )

    yield "Models", "", "", []
    yield "Answers", "By model and version.", "reqps", [(rate(d.ANSWER_SECONDS, by=version, part="_count"), named)]
    yield "Time of an answer", "By model and version.", "s", quantiles(d.ANSWER_SECONDS, by=version)
    yield (
        "Errors of models",
        "By model and code.",
        "reqps",
        [(rate(d.MODEL_ERRORS, by="model, version, code"), f"{named} {{{{code}}}}")],
    )
    yield "In the engine", "By model and engine.", "s", quantiles(d.INFER_SECONDS, by="model, engine")
    yield (
        "Instances in a call of the engine",
        "The mean.",
        "short",
        [(mean(d.BATCH_INSTANCES, "model, engine"), "{{model}} {{engine}}")],
    )
    yield "Pictures", "Decoded each second.", "short", [(rate(d.IMAGES), "pictures")]

    yield "Versions", "", "", []
    yield (
        "States",
        "Workers in which a version is in this state.",
        "short",
        [(f"sum by (model, version, state) ({of(d.STATES)}) > 0", f"{named} {{{{state}}}}")],
    )
    yield (
        "Loads",
        "In an hour, by outcome.",
        "short",
        [
            (
                f"sum by (model, version, outcome) (increase({of(d.LOAD_SECONDS, part='_count')}[1h]))",
                f"{named} {{{{outcome}}}}",
            )
        ],
    )
    yield (
        "Time to load",
        "The mean of an hour: check, load, prove.",
        "s",
        [
            (
                f"sum by (model, version) (increase({of(d.LOAD_SECONDS, part='_sum')}[1h])) / "
                f"sum by (model, version) (increase({of(d.LOAD_SECONDS, part='_count')}[1h]))",
                named,
            )
        ],
    )
    yield (
        "Ready",
        "Workers that can answer with a version.",
        "short",
        [(f"sum by (model, version) ({of(d.READY)}) > 0", named)],
    )
    yield "Release", "Nodes that run it.", "short", [(f"count by (version) ({of(d.INFO)})", "{{version}}")]


def dashboard() -> dict[str, Any]:
    """The whole dashboard, as Grafana imports it."""
    laid_out: list[dict[str, Any]] = []
    column = row = 0
    for title, meaning, unit, queries in panels():
        if column + WIDTH > 24 or (not queries and column):
            column, row = 0, row + HEIGHT
        place = {"x": column, "y": row, "w": WIDTH, "h": HEIGHT}
        if not queries:
            laid_out.append({"type": "row", "title": title, "gridPos": place | {"w": 24, "h": 1}, "panels": []})
            row += 1
            continue
        laid_out.append(_panel(title, meaning, unit, queries) | {"gridPos": place})
        column += WIDTH
    return {
        "uid": "kiln",
        "title": "Kiln",
        "tags": ["kiln"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": [panel | {"id": number} for number, panel in enumerate(laid_out, 1)],
    }


def _panel(title: str, meaning: str, unit: str, queries: list[Query]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
        for number, (expression, legend) in enumerate(queries)
    ]
    return {
        "type": "timeseries",
        "title": title,
        "description": meaning,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": targets,
    }


def _variables() -> list[dict[str, Any]]:
    def choice(name: str, metric: Gauge, which: str = "") -> dict[str, Any]:
        [described] = metric.describe()
        query = f'label_values({described.name}{{job="kiln"{which}}}, {name})'
        many = {"multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
        return {"type": "query", "name": name, "datasource": SOURCE, "query": query, "refresh": 2, **many}

    return [
        {"type": "datasource", "name": "datasource", "query": "prometheus"},
        choice("instance", declared.WORKERS),
        choice("model", declared.STATES, ', instance=~"$instance"'),
    ]


if __name__ == "__main__":
    json.dump(dashboard(), sys.stdout, indent=1)
    print()
