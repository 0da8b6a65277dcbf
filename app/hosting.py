"""The platforms that host containers: what their contracts and variables say, in terms of our settings.

KILN_PLATFORM names one; without it, its own variables tell. Who sets another KILN_ variable goes before all of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

_EVERYWHERE = "0.0.0.0"  # noqa: S104  a container that nobody outside reaches is of no use


class Platform(NamedTuple):
    """One platform.

    markers: variables, any of which says that it hosts us. settings: setting -> the text that it has here.
    told: setting -> the platform's variables that tell it, the first that is set; they go before `settings`.
    """

    markers: tuple[str, ...]
    settings: Mapping[str, str]
    told: Mapping[str, tuple[str, ...]] = {}


PLATFORMS = {
    "sagemaker": Platform(
        ("SAGEMAKER_BIND_TO_PORT",),
        {"host": _EVERYWHERE, "port": "8080"},
        {"port": ("SAGEMAKER_BIND_TO_PORT",)},
    ),
    "vertex": Platform(
        ("AIP_HTTP_PORT", "AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE"),
        {"host": _EVERYWHERE, "port": "8080"},
        {
            "port": ("AIP_HTTP_PORT",),
            "vertex_health": ("AIP_HEALTH_ROUTE",),
            "vertex_predict": ("AIP_PREDICT_ROUTE",),
        },
    ),
    # It takes a process that closes an idle connection within 15 minutes for one that has ended, and asks a worker that
    # listens, so that this has its model first: for as long as KILN_TIMEOUT allows.
    "function_compute": Platform(
        ("FC_SERVER_PORT", "FC_FUNC_CODE_PATH", "FC_FUNCTION_NAME", "FC_INSTANCE_ID"),
        {"host": _EVERYWHERE, "port": "9000", "keep_alive": "960", "load_wait": "45"},
        {"port": ("FC_SERVER_PORT",)},
    ),
    # The web adapter asks from within.
    "lambda": Platform(
        ("AWS_LWA_PORT", "AWS_LAMBDA_FUNCTION_NAME"),
        {"host": "127.0.0.1", "port": "8080"},
        {"port": ("AWS_LWA_PORT", "PORT")},
    ),
    # The deployment tells the platform our port, not the other way round.
    "azure_ml": Platform(("AZUREML_MODEL_DIR",), {"host": _EVERYWHERE}),
}


def said(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Setting -> (the variable that says it, the text that it has for it). Empty where nobody hosts us."""
    name, marker = environment.get("KILN_PLATFORM", ""), "KILN_PLATFORM"
    if not name:
        found = [(each, marker) for each, platform in PLATFORMS.items() for marker in platform.markers]
        name, marker = next(((each, marker) for each, marker in found if environment.get(marker)), ("", ""))
    if name not in PLATFORMS:
        return {}
    platform = PLATFORMS[name]
    settings = {"platform": name, **platform.settings}
    told = {setting: (variable, environment[variable]) for setting, variable in _set(platform, environment)}
    return {setting: (marker, text) for setting, text in settings.items()} | told


def _set(platform: Platform, environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """(setting, the variable that tells it), where one does."""
    given = ((setting, [v for v in variables if environment.get(v)]) for setting, variables in platform.told.items())
    return [(setting, variables[0]) for setting, variables in given if variables]
