"""Who is compared with Kiln: each peer's files, how it is started, and how it wants to be asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..photos import Photo
from ..servers import Question
from . import environments

SHARED = environments.PEERS / "shared"
ONNX, LITERT, DRAFT = "onnx", "litert", "litert_draft"
ENGINES = {ONNX: "ONNX Runtime", LITERT: "LiteRT", DRAFT: "LiteRT, quick decoding"}
PACKAGES = ("onnxruntime", "ai-edge-litert", "numpy", "pillow")


def raw(photo: Photo) -> Question:
    """The photo as the body of POST /predict."""
    return Question(photo.content, photo.kind)


def form(photo: Photo) -> Question:
    """A form whose field is called `request`, as the parameter is that LitServe decodes."""
    return Question(*photo.form("request"))


def open_inference(photo: Photo) -> Question:
    """Base64 in the JSON of the Open Inference Protocol."""
    tensor = {
        "name": "photo",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"content_type": "base64"},
        "data": [base64.b64encode(photo.content).decode()],
    }
    body = json.dumps({"inputs": [tensor]}).encode()
    return Question(body, "application/json", "/v2/models/catdog/infer")


@dataclass(frozen=True)
class Peer:
    """One way to serve a model, in a folder here and with an environment of its own.

    title: its name as people know it. files: what a user writes for it, beside the model's code in `shared`.
    packages: the servers whose versions are told. command, settings: in which {bin} stands for the environment's
    programs, {port}, {second} and {third} for ports, {run} for a folder that is empty. shares: the peer whose folder
    and environment it takes, where it is but another way to start that. ask: a photo in the form that it takes.
    engines: those that it is measured with.
    """

    name: str
    title: str
    files: Sequence[str]
    packages: Sequence[str]
    command: Sequence[str]
    settings: Mapping[str, str] = field(default_factory=dict)
    shares: str = ""
    ask: Callable[[Photo], Question] = raw
    engines: Sequence[str] = (ONNX, LITERT)

    @property
    def environment(self) -> str:
        """The name of its environment and of its folder."""
        return self.shares or self.name

    @property
    def folder(self) -> Path:
        """Of its files and its pinned requirements."""
        return environments.PEERS / self.environment

    def written(self, engine: str) -> list[Path]:
        """All that a user writes to serve the model with that engine."""
        return [*(self.folder / file for file in self.files), *model_code(engine)]


def model_code(engine: str) -> list[Path]:
    """The code that runs the model, which is the same in every peer."""
    folders = [f"with_{engine}"] if engine != DRAFT else [f"with_{LITERT}", f"with_{DRAFT}"]
    return [SHARED / "picture.py", *(SHARED / folder / "classifier.py" for folder in folders)]


# Nothing may leave the machine, nor leave something behind in the user's home.
_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # a cluster of this machine alone, on the loopback address
}
_RAY_FILES = {
    "files": ("app.py",),
    "packages": ("ray",),
    "command": ("{bin}/python", "start.py", "{port}", "{run}/ray"),
}

PEERS = (
    Peer(
        "fastapi",
        "FastAPI + uvicorn",
        files=("app.py",),
        packages=("fastapi", "uvicorn"),
        command=("{bin}/uvicorn", "app:app", "--workers=2", "--port={port}", "--no-access-log"),
        engines=(ONNX, LITERT, DRAFT),
    ),
    Peer(
        "litserve",
        "LitServe",
        files=("server.py",),
        packages=("litserve",),
        command=("{bin}/python", "server.py", "{port}"),
        ask=form,
    ),
    Peer(
        "bentoml",
        "BentoML",
        files=("service.py",),
        packages=("bentoml",),
        command=("{bin}/bentoml", "serve", "service:CatDog", "--host=127.0.0.1", "--port={port}"),
        settings={"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": "{run}/bentoml"},
    ),
    Peer(
        "mlserver",
        "MLServer",
        files=("runtime.py", "settings.json", "model-settings.json"),
        packages=("mlserver",),
        command=("{bin}/mlserver", "start", "."),
        settings={
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{second}",
            "MLSERVER_METRICS_PORT": "{third}",
            "MLSERVER_METRICS_DIR": "{run}/metrics",
        },
        ask=open_inference,
    ),
    Peer("ray", "Ray Serve", settings=_RAY, **_RAY_FILES),
    Peer(
        "ray-fast",
        "Ray Serve, high throughput",
        shares="ray",
        # Both by name in its guide to high throughput; the rest moves HAProxy's files and ports.
        settings={
            **_RAY,
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_HAPROXY_STATS_PORT": "{second}",
            "RAY_SERVE_HAPROXY_METRICS_PORT": "{third}",
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "{run}/haproxy/haproxy.cfg",
            "RAY_SERVE_HAPROXY_SOCKET_PATH": "{run}/haproxy/admin.sock",
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": "{run}/haproxy/metrics.sock",
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "{run}/haproxy",
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "{run}/haproxy/server-state",
        },
        **_RAY_FILES,
    ),
)
TUTORIAL = "tutorial"
NAMES = (TUTORIAL, *(peer.name for peer in PEERS))
