"""Metrics, logs and the request id that joins them."""
