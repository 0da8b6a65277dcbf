"""Logs: one JSON object a line on standard error, with the request id."""

from __future__ import annotations

import datetime
import json
import logging
import warnings

import orjson
from flask import g, has_request_context

logger = logging.getLogger("kiln")


class JsonFormatter(logging.Formatter):
    """time (UTC, RFC 3339), level, message, request_id where there is one, the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        line = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "process": record.process,
        }
        if has_request_context() and "request_id" in g:
            line["request_id"] = g.request_id
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        text = orjson.dumps(line, default=str).decode()
        # Beyond ASCII there are control characters, too, and some that turn the direction of what a terminal shows.
        return text if text.isascii() else json.dumps(line, default=str)


def configure(level: str) -> None:
    """Send our log lines to standard error; calling it again changes the level alone."""
    # Pillow warns of every oddity in a file; hostile pictures would fill the log. What matters raises.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logger.setLevel(level.upper())
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        for each in (logger, logging.getLogger("opentelemetry")):  # which says so when nobody takes its traces
            each.addHandler(handler)
            each.propagate = False
