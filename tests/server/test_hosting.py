"""Hosted as each platform hosts a container: its variables, its ports, its probes, its way to stop."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import servers
from tests.servers import ROOT, Server, connect, post_head, read_answer, wait_for

pytestmark = pytest.mark.server

RUN = (sys.executable, "deploy/run.py")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def hosted(
    folder: Path, variables: dict[str, str], port: int, *, up: str = "/ready", **settings: object
) -> Iterator[Server]:
    """`./kiln run` with a platform's variables and no address of our own; up once `up` answers at all."""
    environment = servers.clean_environment(**({"workers": 1, "deadline": 60} | settings)) | variables
    log = folder / "server.log"
    with servers.running(RUN, log, cwd=ROOT, env=environment) as process:
        server = Server(f"http://127.0.0.1:{port}", port, process, log)

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(requests.RequestException):
                return bool(requests.get(server.url + up, timeout=5).status_code)
            return False

        wait_for(answers, f"{server.url}{up}; see {log}", servers.START_SECONDS)
        yield server


def listens_at(server: Server) -> str:
    found = re.search(r"Listening at: http://(\S+?) ", server.log.read_text())
    assert found
    return found[1]


@pytest.fixture(scope="module")
def instances(photo: bytes) -> dict[str, Any]:
    return {"instances": [{"b64": base64.b64encode(photo).decode()}]}


# --- SageMaker --------------------------------------------------------------------------------------------------------


def test_sagemaker_pings_and_invokes(tmp_path: Path, photo: bytes, instances: Any) -> None:
    port = free_port()
    with hosted(tmp_path, {"SAGEMAKER_BIND_TO_PORT": str(port)}, port, up="/ping") as server:
        assert listens_at(server) == f"0.0.0.0:{port}"
        ping = requests.get(f"{server.url}/ping", timeout=2)
        assert (ping.status_code, ping.content) == (200, b"")
        told = {"Content-Type": "application/json", "X-Amzn-SageMaker-Custom-Attributes": "tfs-model-name=catdog"}
        answer = requests.post(f"{server.url}/invocations", json=instances, headers=told, timeout=60)
        assert answer.json()["predictions"][0][0] > 0.9
        raw = requests.post(f"{server.url}/invocations", data=photo, headers={"Content-Type": "image/jpeg"}, timeout=60)
        assert raw.json() == answer.json()
        refused = requests.post(f"{server.url}/invocations", data=b"1", headers={"Content-Type": "text/x"}, timeout=60)
        assert (refused.status_code, refused.json()) == (415, {"error": "Unsupported Media Type: text/x"})


def test_sagemaker_is_answered_what_it_sent_before_the_term(tmp_path: Path, photo: bytes) -> None:
    """A connection that is kept, one that waits for its body, and one whose body never comes: all in 30 seconds."""
    port = free_port()
    head = post_head("/invocations", "Content-Type: image/jpeg", f"Content-Length: {len(photo)}")
    variables = {"SAGEMAKER_BIND_TO_PORT": str(port)}
    with hosted(tmp_path, variables, port, workers=2, body_timeout=5) as server, contextlib.ExitStack() as stack:
        idle, half, stalled = (stack.enter_context(connect(server.url, 30)) for _ in range(3))
        idle.sendall(head + photo)
        first = read_answer(idle)
        assert first is not None
        assert first.status_code == 200
        half.sendall(head + photo[:1000])
        stalled.sendall(head + photo[:1000])
        # Connections are taken in the order in which they came: once this one is answered, both are with a worker.
        assert requests.get(f"{server.url}/ping", timeout=2).status_code == 200
        server.process.terminate()
        wait_for(lambda: "Handling signal: term" in server.log.read_text(), "the signal")
        half.sendall(photo[1000:])
        answer = read_answer(half)
        assert answer is not None
        assert (answer.status_code, len(answer.json()["predictions"])) == (200, 1)
        late = read_answer(stalled)
        assert late is not None
        assert (late.status_code, list(late.json())) == (408, ["error"])
        assert idle.recv(1) == b""
        assert server.process.wait(30) == 0
    assert "SIGKILL" not in server.log.read_text()


def test_sagemaker_never_has_to_kill() -> None:
    assert int(gunicorn_setting("graceful_timeout", KILN_PLATFORM="sagemaker")) < 30
    assert gunicorn_setting("bind", KILN_PLATFORM="sagemaker") == "['0.0.0.0:8080']"


def test_a_busy_node_still_answers_who_watches_over_it(start_service: Callable[..., Server]) -> None:
    server = start_service(workers=1)
    open_inference = ("/v2/health/live", 200), ("/v2/health/ready", 200), ("/v2/health", 503)
    for path, status in (("/ping", 200), ("/pingpong", 503), ("/models", 503), *open_inference):
        answer = requests.get(server.url + path, headers={"X-Deadline-Ms": "0"}, timeout=10)
        assert answer.status_code == status, path


# --- Vertex AI --------------------------------------------------------------------------------------------------------


def test_vertex_is_where_its_variables_say(tmp_path: Path, instances: Any) -> None:
    port, path = free_port(), "/v1/endpoints/1/deployedModels/2"
    variables = {"AIP_HTTP_PORT": str(port), "AIP_HEALTH_ROUTE": path, "AIP_PREDICT_ROUTE": f"{path}:predict"}
    with hosted(tmp_path, variables, port, up=path) as server:
        assert listens_at(server) == f"0.0.0.0:{port}"
        health = requests.get(server.url + path, headers={"X-Deadline-Ms": "0"}, timeout=10)  # also of a busy node
        assert health.status_code == 200
        answer = requests.post(f"{server.url}{path}:predict", json={**instances, "parameters": {}}, timeout=10)
        assert (answer.status_code, list(answer.json())) == (200, ["predictions"])
        late = requests.post(f"{server.url}{path}:predict", json=instances, headers={"X-Deadline-Ms": "0"}, timeout=10)
        assert (late.status_code, list(late.json())) == (503, ["error"])


# --- Azure ML ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [1, 2], ids=["whole", "in two pieces"])
def test_azure_ml_is_told_429(service: Server, photo: bytes, pieces: int) -> None:
    before = refusals(service)
    for path, status in (("/score", 429), ("/predict", 503)):
        request = post_head(path, f"Content-Length: {len(photo)}", "X-Deadline-Ms: 0") + photo
        cut = len(request) // pieces
        with connect(service.url) as connection:
            connection.sendall(request[:cut])
            connection.sendall(request[cut:])
            answer = servers.assert_error(refused := read_answer(connection), status, "deadline_exceeded")
            assert refused is not None
            assert int(refused.headers["Retry-After"]) >= 1
            assert answer["message"]
    assert refusals(service) == before + 1


def refusals(server: Server) -> float:
    return server.metrics().get(
        'kiln_requests_total{dialect="azure_ml",method="other",route="unread",status="429"}', 0.0
    )


def test_azure_mls_routes(service: Server, instances: Any) -> None:
    assert requests.get(f"{service.url}/live", timeout=2).status_code == 200
    assert requests.get(f"{service.url}/ready", timeout=2).status_code == 200
    answer = requests.post(f"{service.url}/score", json=instances, timeout=5)
    assert answer.json()["predictions"][0]["label"] == "cat"


# --- Function Compute -------------------------------------------------------------------------------------------------

SECRET = "do-not-tell"
CREDENTIALS = ("x-fc-access-key-id", "x-fc-access-key-secret", "x-fc-security-token")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """All that the traces of a server say, as it is sent."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    yield received
    server.shutdown()
    server.server_close()


def test_function_compute_calls_an_instance(tmp_path: Path, photo: bytes, instances: Any, collector: Any) -> None:
    port = free_port()
    variables = {"FC_SERVER_PORT": str(port), "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET, "FC_ACCOUNT_ID": "1"}
    with hosted(tmp_path, variables, port, log_level="debug", access_log=True) as server:
        assert listens_at(server) == f"0.0.0.0:{port}"
        client = requests.Session()

        def call(number: int, method: str, path: str, control: str = "", **body: Any) -> requests.Response:
            headers = {"x-fc-request-id": f"1-{number}", "x-fc-control-path": control or path}
            headers |= dict.fromkeys(CREDENTIALS, SECRET) | body.pop("headers", {})
            answer = client.request(method, server.url + path, headers=headers, timeout=30, **body)
            assert answer.headers["X-Request-ID"] == f"1-{number}"
            assert answer.headers["Connection"].lower() == "keep-alive"
            return answer

        assert call(1, "POST", "/initialize").headers["x-fc-status"] == "200"
        event = call(2, "POST", "/invoke", data=json.dumps(instances))
        assert (event.status_code, event.headers["x-fc-status"]) == (200, "200")
        assert event.json()["predictions"][0]["label"] == "cat"
        picture = {"data": photo, "headers": {"Content-Type": "image/jpeg", "X-Request-ID": "the caller's own"}}
        passed = call(3, "POST", "/predict", "/http-invoke", **picture)
        assert (passed.status_code, passed.headers["x-fc-status"]) == (200, "200")
        failed = call(4, "POST", "/invoke", data=b"{")
        assert (failed.status_code, failed.headers["x-fc-status"]) == (400, "404")
        assert call(5, "POST", "/invoke", data=b"x" * 100, headers={"X-Deadline-Ms": "0"}).status_code == 503
        call(6, "GET", "/pre-freeze")
        call(7, "GET", "/pre-stop")
        wait_for(lambda: any(b"1-7" in body for body in collector), "the trace of the last call")
        server.process.terminate()
        assert server.process.wait(30) == 0
    log = server.log.read_text()
    lines = [line for line in log.splitlines() if line.startswith("FC ")]
    calls = [(1, "Initialize"), (2, "Invoke"), (3, "Invoke"), (4, "Invoke"), (6, "PreFreeze"), (7, "PreStop")]
    assert lines == [f"FC {name} {what} RequestId: 1-{number}" for number, name in calls for what in ("Start", "End")]
    assert '"level":"debug"' in log
    assert SECRET not in log
    assert SECRET.encode() not in b"".join(collector)


def gunicorn_setting(name: str, **variables: str) -> str:
    """What gunicorn's configuration says where these variables are set."""
    code = (
        "import runpy; conf = runpy.run_path('deploy/gunicorn.conf.py'); "
        f"conf['on_exit'](None); print(conf[{name!r}])"  # it has made a folder for the metrics
    )
    environment = servers.clean_environment() | variables
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_function_compute_finds_idle_connections_open_for_15_minutes() -> None:
    assert int(gunicorn_setting("keepalive", FC_FUNCTION_NAME="f")) >= 15 * 60
    assert gunicorn_setting("bind", FC_FUNCTION_NAME="f") == "['0.0.0.0:9000']"
    assert int(gunicorn_setting("keepalive")) == 75


def test_an_idle_connection_is_kept_as_long_as_the_setting_says(start_service: Callable[..., Server]) -> None:
    server = start_service(workers=1, keep_alive=1)
    with connect(server.url, 30) as connection:
        connection.sendall(b"GET /live HTTP/1.1\r\nHost: kiln.test\r\n\r\n")
        answer = read_answer(connection)
        assert answer is not None
        assert answer.status_code == 200
        assert connection.recv(1) == b""  # closed by the server, in less than the timeout of this side


# --- Lambda with the web adapter --------------------------------------------------------------------------------------


class Adapter:
    """What the adapter does: it waits until the readiness check says 100 to 499, then passes requests on, without the
    base path that it was told to remove."""

    def __init__(self, port: int, check: str, base_path: str = "") -> None:
        self._port = port
        self._check = check
        self._base_path = base_path
        self.seen: list[int] = []

    def wait(self) -> None:
        def is_ready() -> bool:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _ = self._ask("GET", self._check)
                self.seen.append(status)
                return 100 <= status <= 499
            return False

        wait_for(is_ready, "the readiness check", servers.START_SECONDS)

    def invoke(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        context = {"x-amzn-request-context": '{"stage": "prod"}', "x-amzn-lambda-context": '{"deadline_ms": 1}'}
        return self._ask(method, path.removeprefix(self._base_path), body, {**headers, **context})

    def _ask(self, method: str, path: str, body: bytes = b"", headers: Any = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()


@pytest.mark.slow
def test_lambdas_adapter_waits_for_the_model_and_removes_the_stage(
    tmp_path: Path, photo: bytes, instances: Any
) -> None:
    port = free_port()
    settings = {"engine": "keras", "load_wait": 0, "timeout": 300}  # slow to load, so that the wait can be seen
    variables = {"AWS_LWA_PORT": str(port), "AWS_LAMBDA_FUNCTION_NAME": "pets"}
    with hosted(tmp_path, variables, port, up="/live", **settings) as server:
        assert listens_at(server) == f"127.0.0.1:{port}"
        adapter = Adapter(port, "/ready", base_path="/prod")
        adapter.wait()
        assert set(adapter.seen) == {503, 200}
        status, body = adapter.invoke("POST", "/prod/predict", photo, **{"Content-Type": "image/jpeg"})
        assert (status, json.loads(body)["predictions"][0]["label"]) == (200, "cat")
        assert adapter.invoke("GET", "/prod/")[0] == 200
        # Events of no HTTP come to the adapter's pass-through path, which can be ours for events.
        status, body = adapter.invoke("POST", "/invoke", json.dumps(instances).encode())
        assert (status, json.loads(body)["predictions"][0]["label"]) == (200, "cat")
        server.process.terminate()
        assert server.process.wait(30) == 0
