"""Every setting, declared once: name, default, meaning. The only reader of the environment.

`KILN_<NAME>` overrides a default, and what the platform that hosts us says (hosting.py). All are checked at start and
every problem is reported at once. A setting that is a secret would carry `secret=True` and show as *** in logs; there
is none: API keys are in a file, as hashes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from . import cores, hosting

ROOT = Path(__file__).resolve().parent.parent
ENGINES = (
    "litert",
    "onnx",
    "keras",
    "litert-winograd",
    "litert-int8",
    "litert-float16",
)  # model.engines.NAMES, which brings numpy


# One file each in resources/, beside our own.
DIALECTS = (
    "tf_serving",
    "kserve_v1",
    "open_inference",
    "sagemaker",
    "vertex",
    "azure_ml",
    "function_compute",
)


class SettingsError(ValueError):
    """One or more settings are wrong; the message names each with its value and what is allowed."""


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text.replace("_", ""))
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"an integer from {low} to {high}")
        return value

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"seconds from {low:g} to {high:g}")
        return value

    return parse


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(filter(None, allowed))}")
        return text

    return parse


def _boolean(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("true or false")


def _text(text: str) -> str:
    if not text:
        raise ValueError("not empty")
    return text


def _host(text: str) -> str:
    return _text(text[1:-1] if text.startswith("[") and text.endswith("]") else text)


def _folder(text: str) -> Path:
    return Path(_text(text))


def _file(text: str) -> str:
    try:
        readable = not text or (Path(text).is_file() and os.access(text, os.R_OK))
    except ValueError:  # no path at all
        readable = False
    if not readable:
        raise ValueError("a file that can be read, or empty")
    return text


_ROUTE = re.compile(r"/[A-Za-z0-9._~:/@!$&'()*+,;=-]*", re.ASCII)


def _route(text: str) -> str:
    if text and not _ROUTE.fullmatch(text):
        raise ValueError("a path that begins with /, without a query and escapes, or empty")
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, (name.strip() for name in text.split(","))))
    if any("/" in name or name.startswith(".") for name in names):
        raise ValueError("names of models, separated by commas")
    return names


def _dialects(text: str) -> tuple[str, ...]:
    names = _names(text)
    if names in (("all",), ("none",)):
        return DIALECTS if names == ("all",) else ()
    if not names or not set(names) <= set(DIALECTS):
        raise ValueError(f"all, none, or some of {', '.join(DIALECTS)}, separated by commas")
    return tuple(name for name in DIALECTS if name in names)


def _setting(default: Any, parse: Callable[[str], Any], meaning: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"parse": parse, "meaning": meaning, "secret": secret})


@dataclass(frozen=True, eq=False, repr=False)  # half the time to make it, in every process that starts
class Settings:
    """The settings of one process."""

    host: str = _setting("127.0.0.1", _host, "address to listen on; 0.0.0.0 for every interface")
    port: int = _setting(8000, _integer(1, 65535), "TCP port to listen on")
    bind: str = _setting("", str, "listen here instead of host and port, e.g. unix:/run/kiln/kiln.sock")
    workers: int = _setting(0, _integer(0, 256), "worker processes; 0 for one for each core")
    threads: int = _setting(
        8, _integer(1, 64), "threads of a worker: chunked bodies, slow readers, engines that gather"
    )
    platform: str = _setting(
        "", _choice("", *hosting.PLATFORMS), "platform whose port and routes to take; empty finds out by its variables"
    )
    store: Path = _setting(ROOT / "model" / "store", _folder, "folder of model bundles, <name>/<version>/")
    model: str = _setting("catdog", _text, "name of the model that answers whoever names none")
    models: tuple[str, ...] = _setting((), _names, "models to serve, separated by commas; empty for all in the store")
    engine: str = _setting(
        "", _choice("", *ENGINES), f"engine to run ({', '.join(ENGINES)}); empty takes the bundle's choice"
    )
    engine_threads: int = _setting(0, _integer(0, 256), "threads of an engine; 0 shares the cores among the workers")
    max_batch: int = _setting(16, _integer(1, 1024), "most instances in one call of an engine that gains by it")
    batch_delay: float = _setting(0.0, _seconds(0, 1), "seconds that such an engine waits for more instances")
    max_body_bytes: int = _setting(10 * 1024 * 1024, _integer(1024, 1 << 30), "largest request body, in bytes")
    max_images: int = _setting(16, _integer(1, 1024), "most images in one request")
    max_instances: int = _setting(1024, _integer(1, 1_000_000), "most instances of tensors in one request")
    max_pixels: int = _setting(50_000_000, _integer(64, 170_000_000), "most pixels of one image, before decoding")
    body_timeout: float = _setting(15.0, _seconds(0.1, 300), "seconds in which a request body must arrive")
    deadline: float = _setting(
        1.0, _seconds(0.01, 300), "seconds in which work on a request must begin, or it gets 503"
    )
    timeout: int = _setting(60, _integer(5, 3600), "seconds after which a worker that hangs is replaced")
    drain: float = _setting(0.0, _seconds(0, 3600), "seconds between not being ready and stopping, after SIGTERM")
    keep_alive: int = _setting(
        75, _integer(1, 86400), "seconds that an idle connection is kept; more than nginx keeps it, which is 60"
    )
    load_wait: float = _setting(10.0, _seconds(0, 600), "seconds a new worker waits for its model before it listens")
    dialects: tuple[str, ...] = _setting(DIALECTS, _dialects, "protocols to speak beside our own: all, none, or names")
    v1_status: str = _setting(
        "tf_serving", _choice("tf_serving", "kserve", "both"), "whose form has /v1/models/NAME where both are spoken"
    )
    status_codes: str = _setting(
        "compatible", _choice("compatible", "truthful"), "truthful gives 503 also where a protocol's original misleads"
    )
    repository_control: bool = _setting(False, _boolean, "let clients unload and load models: V2's repository calls")
    vertex_health: str = _setting("", _route, "path of Vertex AI's health check; empty for none")
    vertex_predict: str = _setting("", _route, "path of Vertex AI's predictions; empty for none")
    api_keys: str = _setting("", _file, "file of API keys, without one of which nobody is served; empty for no keys")
    trusted_proxies: int = _setting(1, _integer(0, 16), "proxies before the worker whose X-Forwarded-For is believed")
    log_level: str = _setting("info", _choice("debug", "info", "warning", "error"), "least severe level to log")
    access_log: bool = _setting(False, _boolean, "log a line for each request (nginx logs them already)")

    @property
    def address(self) -> str:
        """Where gunicorn listens: HOST:PORT with an IPv6 address in brackets, or unix:PATH."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.bind or f"{host}:{self.port}"

    def worker_count(self) -> int:
        """Worker processes to start."""
        return self.workers or cores.usable()

    def engine_thread_count(self) -> int:
        """Threads for each engine. With those of all workers together, no more than there are cores, if that can be."""
        return self.engine_threads or max(1, cores.usable() // self.worker_count())

    def v1_form(self) -> str:
        """Whose form the paths have that TensorFlow Serving and KServe V1 share: as v1_status, or that of the one which
        is on."""
        alone = {"tf_serving", "kserve_v1"} - set(self.dialects)
        return {"tf_serving": "kserve", "kserve_v1": "tf_serving"}[alone.pop()] if len(alone) == 1 else self.v1_status

    def shown(self) -> dict[str, str]:
        """Every setting as text for the log, secrets masked."""
        return {
            f.name: "***" if f.metadata["secret"] and getattr(self, f.name) else str(getattr(self, f.name))
            for f in fields(self)
        }


def variable(setting: Field[Any]) -> str:
    """The environment variable of a setting."""
    return f"KILN_{setting.name.upper()}"


def read(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment (os.environ by default). Raises SettingsError naming every problem at once."""
    environment = os.environ if environment is None else environment
    values, problems, said = {}, [], hosting.said(environment)
    for setting in fields(Settings):
        name = variable(setting)
        text = environment.get(name)
        if text is None and setting.name in said:
            name, text = said[setting.name]
        if text is not None:
            try:
                values[setting.name] = setting.metadata["parse"](text)
            except ValueError as wrong:
                problems.append(f"{name}={text!r} must be {wrong}")
    known = {variable(setting) for setting in fields(Settings)}
    problems += [f"{name} is not a setting" for name in sorted(environment) if _ours(name) and name not in known]
    model, models = values.get("model", Settings.model), values.get("models")
    if models and model not in models:
        problems.append(f"KILN_MODEL={model!r} must be one of KILN_MODELS={','.join(models)!r}")
    if problems:
        raise SettingsError("Wrong settings: " + "; ".join(problems))
    return Settings(**values)


def leaving_mark(environment: Mapping[str, str] | None = None) -> Path | None:
    """The file that says this node is about to stop (deploy/drain.py); None where no gunicorn of ours is in charge."""
    folder = (os.environ if environment is None else environment).get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder, "leaving") if folder else None


def traced(environment: Mapping[str, str] | None = None) -> bool:
    """Do OpenTelemetry's standard variables ask for traces? What else they say, its own library reads."""
    environment = os.environ if environment is None else environment
    return _names_collector(environment) and "otlp" in _exporters(environment)


def untraced(environment: Mapping[str, str] | None = None) -> str:
    """What those variables ask for and Kiln does not do, to be logged; empty for nothing."""
    environment = os.environ if environment is None else environment
    if not _names_collector(environment):
        return ""
    told = []
    exporters = _exporters(environment)
    if others := [name for name in exporters if name not in ("otlp", "none")]:
        end = "that is ignored" if "otlp" in exporters else "no traces are sent"
        told.append(f"OTEL_TRACES_EXPORTER names {', '.join(others)}, Kiln has otlp alone: {end}")
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if "otlp" in exporters and protocol and protocol != "http/protobuf":
        told.append(f"the protocol {protocol} of OTEL_EXPORTER_OTLP_PROTOCOL is ignored: traces go as http/protobuf")
    return "; ".join(told)


def _names_collector(environment: Mapping[str, str]) -> bool:
    named = any(environment.get(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT") for kind in ("", "TRACES_"))
    return named and environment.get("OTEL_SDK_DISABLED", "").lower() != "true"


def _exporters(environment: Mapping[str, str]) -> list[str]:
    """A list with commas between; an empty one is as none, and that is otlp."""
    return [name.strip() for name in (environment.get("OTEL_TRACES_EXPORTER") or "otlp").split(",")]


def api_keys_file() -> Path | None:
    """The file that KILN_API_KEYS names; it need not exist yet."""
    named = os.environ.get("KILN_API_KEYS")
    return Path(named) if named else None


# No settings of the server: set by the launcher and the gunicorn configuration for their own children, or read by the
# load tests, whose key may be in the environment of a shell that starts a server, too.
INTERNAL = frozenset(
    {
        "KILN_WORKER_SLOT",
        "KILN_METRICS_OWNER",
        "KILN_CWD",
        "KILN_PYTHON",
        "KILN_SCREENSHOT_DIR",
        "KILN_LOAD_KEY",
        "KILN_JMETER",
    }
)


def _ours(name: str) -> bool:
    return name.startswith("KILN_") and name not in INTERNAL
