"""What a platform's variables mean, and that ours go first."""

from __future__ import annotations

from typing import Any

import pytest

from app import settings

pytestmark = pytest.mark.unit

EVERYWHERE = "0.0.0.0"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ("127.0.0.1", 8000, "")),
        ({"PORT": "7"}, ("127.0.0.1", 8000, "")),
        ({"SAGEMAKER_BIND_TO_PORT": "7"}, (EVERYWHERE, 7, "sagemaker")),
        ({"KILN_PLATFORM": "sagemaker"}, (EVERYWHERE, 8080, "sagemaker")),
        ({"AIP_HTTP_PORT": "7"}, (EVERYWHERE, 7, "vertex")),
        ({"AIP_HEALTH_ROUTE": "/h"}, (EVERYWHERE, 8080, "vertex")),
        ({"FC_SERVER_PORT": "7"}, (EVERYWHERE, 7, "function_compute")),
        ({"FC_FUNC_CODE_PATH": "/code"}, (EVERYWHERE, 9000, "function_compute")),
        ({"AWS_LWA_PORT": "7", "PORT": "8"}, ("127.0.0.1", 7, "lambda")),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f", "PORT": "8"}, ("127.0.0.1", 8, "lambda")),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f"}, ("127.0.0.1", 8080, "lambda")),
        ({"AZUREML_MODEL_DIR": "/var/azureml-app"}, (EVERYWHERE, 8000, "azure_ml")),
        ({"KILN_PLATFORM": "vertex", "FC_SERVER_PORT": "7"}, (EVERYWHERE, 8080, "vertex")),
        ({"FC_SERVER_PORT": "7", "KILN_PORT": "9"}, (EVERYWHERE, 9, "function_compute")),
        ({"FC_SERVER_PORT": "7", "KILN_HOST": "::1"}, ("::1", 7, "function_compute")),
        ({"FC_SERVER_PORT": ""}, ("127.0.0.1", 8000, "")),
    ],
)
def test_a_platform_says_where_to_listen(variables: dict[str, str], expected: tuple[str, int, str]) -> None:
    config = settings.read(variables)
    assert (config.host, config.port, config.platform) == expected


def test_vertex_names_its_routes() -> None:
    config = settings.read({"AIP_HEALTH_ROUTE": "/v1/e:h", "AIP_PREDICT_ROUTE": "/v1/e:predict"})
    assert (config.vertex_health, config.vertex_predict) == ("/v1/e:h", "/v1/e:predict")
    assert settings.read({"KILN_PLATFORM": "sagemaker", "AIP_HEALTH_ROUTE": "/h"}).vertex_health == ""


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"AIP_HTTP_PORT": "http"}, "AIP_HTTP_PORT='http' must be an integer from 1 to 65535"),
        ({"AIP_HEALTH_ROUTE": "h"}, "AIP_HEALTH_ROUTE='h' must be a path that begins with /"),
        ({"AIP_PREDICT_ROUTE": "/<int:x>"}, "AIP_PREDICT_ROUTE='/<int:x>' must be a path"),
        ({"KILN_PLATFORM": "moon"}, "KILN_PLATFORM='moon' must be one of sagemaker, vertex, "),
    ],
)
def test_what_is_wrong_is_named_as_the_platform_does(variables: dict[str, str], text: str) -> None:
    with pytest.raises(settings.SettingsError, match="Wrong settings") as caught:
        settings.read(variables)
    assert text in str(caught.value)


@pytest.mark.parametrize(("setting", "expected"), [("keep_alive", 960), ("load_wait", 45.0)])
def test_function_compute_is_patient(setting: str, expected: Any) -> None:
    config = settings.read({"FC_FUNCTION_NAME": "f"})
    assert getattr(config, setting) == expected
    assert config.load_wait < config.timeout
