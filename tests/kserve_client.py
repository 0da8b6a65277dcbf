"""KServe's own client, past its package, which brings in Kubernetes and more that a client does not need."""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from typing import Any

import pytest


def load() -> Any:
    """Its module `kserve.inference_client`; skips the test where it is not installed.

    Its package asks for older versions than are here of what it shares with us, so that pip takes it only by itself:
    pip install --no-deps kserve httpx httpcore fastapi starlette annotated-doc pandas 'cloudevents<2' deprecation
    """
    if "kserve" not in sys.modules:
        found = importlib.util.find_spec("kserve")
        if found is None or found.submodule_search_locations is None:
            pytest.skip("kserve is not installed; tests/kserve_client.py says how")
        package = types.ModuleType("kserve")
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["kserve"] = package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that it is too old for
        return pytest.importorskip("kserve.inference_client", exc_type=ImportError)
